import { crc32, deflateRawSync } from 'node:zlib';

/** A zip with one file inside, as a portal gives out its downloads. (A file of a size that needs zip64 is not for this.) */
export function zipOf(name: string, content: Buffer, at: Date): Buffer {
  const packed = deflateRawSync(content);
  const fileName = Buffer.from(name);
  const about = Buffer.alloc(26);
  about.writeUInt16LE(20, 0); // the version of the format that is needed to read it
  about.writeUInt16LE(8, 4); // deflated
  about.writeUInt16LE(dosTime(at), 6);
  about.writeUInt16LE(dosDate(at), 8);
  about.writeUInt32LE(crc32(content), 10);
  about.writeUInt32LE(packed.length, 14);
  about.writeUInt32LE(content.length, 18);
  about.writeUInt16LE(fileName.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), about, fileName, packed]);

  // What is zero here: extra fields, a comment, the number of the disk, attributes, and where the local part begins.
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), about, Buffer.alloc(14), fileName]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

const dosTime = (at: Date): number => (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
const dosDate = (at: Date): number =>
  ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();

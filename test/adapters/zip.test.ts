import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  type ByteSource,
  localBytes,
  NotAZip,
  openZip,
  type Zip,
  type ZipEntry,
} from '../../src/adapters/file-formats/zip.ts';
import { fileOf, zipOf } from '../support/sheets.ts';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-zip-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A source as a server's: it gives small blocks, and uses the one buffer again for each. */
function sourceOf(bytes: Buffer, blockBytes = 1_000): ByteSource {
  return {
    sizeBytes: bytes.length,
    async *blocks(from, to) {
      const block = Buffer.alloc(blockBytes);
      for (let at = from; at < Math.min(to, bytes.length); at += blockBytes) {
        const end = Math.min(to, at + blockBytes);
        yield block.subarray(0, bytes.copy(block, 0, at, end));
        block.fill(0);
      }
    },
  };
}

async function contentOf(zip: Zip, entry: ZipEntry): Promise<string> {
  const blocks: Buffer[] = [];
  for await (const block of zip.blocks(entry)) blocks.push(Buffer.from(block));
  return Buffer.concat(blocks).toString();
}

const LONG = Array.from({ length: 100_000 }, (_, i) => `line ${i * 7_919}`).join('\n');
const archive = zipOf([
  { name: 'a/stored.csv', content: LONG, isStored: true },
  { name: 'deflated.csv', content: LONG },
  { name: '空.txt', content: '', says: { flags: 0x800 } },
  { name: 'empty.txt', content: '', isStored: true },
]);

test('an archive tells what it holds, and gives it, from a file or from anywhere', async () => {
  const file = await localBytes(fileOf(folder, archive));
  for (const source of [file, sourceOf(archive), sourceOf(archive, 70)]) {
    const zip = await openZip(source);
    assert.deepEqual(
      zip.entries.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ['a/stored.csv', LONG.length],
        ['deflated.csv', LONG.length],
        ['空.txt', 0],
        ['empty.txt', 0],
      ],
    );
    const [stored, deflated, ...empty] = zip.entries;
    assert.equal(stored!.compressedBytes, LONG.length);
    assert.ok(deflated!.compressedBytes < LONG.length);
    assert.equal(await contentOf(zip, stored!), LONG);
    assert.equal(await contentOf(zip, deflated!), LONG);
    for (const entry of empty) assert.equal(await contentOf(zip, entry), '');
    await zip.close();
  }
  await file.close();
});

test('two entries may be read at once, and one be left early', async () => {
  const zip = await openZip(sourceOf(archive));
  const [stored, deflated] = zip.entries;
  for await (const _ of zip.blocks(deflated!)) break;
  assert.deepEqual(await Promise.all([contentOf(zip, stored!), contentOf(zip, deflated!)]), [LONG, LONG]);
  await zip.close();
});

test('what is no archive is told from one that is cut off', async () => {
  const cases: [name: string, bytes: Buffer, isTruncated: boolean][] = [
    ['nothing', Buffer.alloc(0), false],
    ['text', Buffer.from('a,b\n'), false],
    ['zeros', Buffer.alloc(100_000), false],
    ['its first two bytes', archive.subarray(0, 2), true],
    ['its first half', archive.subarray(0, archive.length / 2), true],
    ['all but a byte', archive.subarray(0, -1), true],
    ['all but the middle', Buffer.concat([archive.subarray(0, 1_000), archive.subarray(2_000)]), true],
  ];
  for (const [name, bytes, isTruncated] of cases) {
    await assert.rejects(
      openZip(sourceOf(bytes)),
      (error) => error instanceof NotAZip && error.isTruncated === isTruncated,
      name,
    );
  }
});

test('a failure of the source is no word on the archive', async () => {
  const lost = new Error('the connection was lost');
  const source = sourceOf(archive);
  // The beginning, the directory, where the entry stands, and its content.
  for (const failsAt of [1, 2, 3, 4]) {
    let reads = 0;
    const failing: ByteSource = {
      ...source,
      async *blocks(from, to) {
        if (++reads === failsAt) throw lost;
        yield* source.blocks(from, to);
      },
    };
    const reading = openZip(failing).then((zip) => contentOf(zip, zip.entries[0]!));
    await assert.rejects(reading, lost, `read ${failsAt}`);
  }
});

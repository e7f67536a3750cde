/** Bank statements of our own making, printed in each format, and what a reader has to find in them. */
import { digitsOf } from '../../src/domain/money/currency.ts';

export type MadeEntry = {
  readonly minor: bigint;
  readonly booked: string;
  readonly value: string;
  readonly reference: string;
  readonly text: string;
  readonly name: string;
};
export type MadeStatement = {
  readonly account: string;
  readonly currency: 'EUR' | 'JPY' | 'KWD';
  readonly number: string;
  readonly day: string;
  readonly opening: bigint;
  readonly entries: readonly MadeEntry[];
  /** What it says, where that is not what its entries come to. */
  readonly closing?: bigint;
};

export const closingOf = ({ opening, entries, closing }: MadeStatement): bigint =>
  closing ?? entries.reduce((sum, { minor }) => sum + minor, opening);

const magnitude = (minor: bigint): bigint => (minor < 0n ? -minor : minor);

/** Without a sign: `12.30`, `12,30`, `500`. Where no decimals are needed a comma stands at the end all the same. */
function printed(minor: bigint, currency: MadeStatement['currency'], sign: '.' | ','): string {
  const digits = digitsOf(currency);
  const text = magnitude(minor)
    .toString()
    .padStart(digits + 1, '0');
  const whole = text.slice(0, text.length - digits);
  const fraction = text.slice(text.length - digits);
  if (sign === ',') return `${whole},${fraction}`;
  return digits === 0 ? whole : `${whole}.${fraction}`;
}

const short = (day: string): string => day.slice(2).replaceAll('-', '');
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

export function mt940Of(
  statements: readonly MadeStatement[],
  { envelope = false, info = 'free' as Info } = {},
): string {
  const lines = statements.flatMap((statement) => {
    const { account, currency, number, day, opening, entries } = statement;
    const balance = (tag: string, minor: bigint) =>
      `:${tag}:${minor < 0n ? 'D' : 'C'}${short(day)}${currency}${printed(minor, currency, ',')}`;
    return [
      ...(envelope ? ['{1:F01BANKNL2AXXXX0000000000}{2:I940BANKNL2AXXXXN}{4:'] : []),
      ':20:STARTUMS',
      `:25:${account}`,
      `:28C:${number}`,
      balance('60F', opening),
      ...entries.flatMap((entry) => [
        `:61:${short(entry.value)}${short(entry.booked).slice(2)}${entry.minor < 0n ? 'D' : 'C'}${printed(entry.minor, currency, ',')}NTRF${entry.reference}//B${entry.reference.slice(0, 8)}`,
        ...infoLines(entry, info),
      ]),
      balance('62F', closingOf(statement)),
      envelope ? '-}' : '-',
    ];
  });
  return `${lines.join('\r\n')}\r\n`;
}

type Info = 'free' | 'subfields' | 'words';

/** `:86:` in lines of 65 characters, which end wherever they are full. */
function infoLines({ text, name, reference }: MadeEntry, info: Info): string[] {
  const pieces = (whole: string, length: number) => whole.match(new RegExp(`.{1,${length}}`, 'g')) ?? [];
  const whole = {
    free: text,
    words: `/TRTP/SEPA OVERBOEKING/NAME/${name}/REMI/${text}/EREF/${reference}`,
    subfields: `166?00GUTSCHRIFT${pieces(`EREF+${reference}SVWZ+${text}`, 27)
      .map((piece, at) => `?${20 + at}${piece}`)
      .join('')}?32${name}`,
  }[info];
  return pieces(`:86:${whole}`, 65);
}

export function bai2Of(statements: readonly MadeStatement[]): string {
  const amount = (minor: bigint) => magnitude(minor).toString();
  const signed = (minor: bigint) => (minor < 0n ? `-${amount(minor)}` : `+${amount(minor)}`);
  let fileTotal = 0n;
  let records = 1;
  const lines = statements.flatMap((statement) => {
    const { account, currency, day, opening, entries } = statement;
    const total = entries.reduce((sum, { minor }) => sum + magnitude(minor), opening + closingOf(statement));
    const ofAccount = 2 + entries.length + entries.filter(({ text }) => text.length > 30).length;
    fileTotal += total;
    records += ofAccount + 2;
    return [
      `02,MERCHANT,BANK,1,${short(day)},2300,${currency},2/`,
      `03,${account},,010,${signed(opening)},,,015,${signed(closingOf(statement))},,/`,
      ...entries.flatMap(({ minor, text, reference, value }) => [
        `16,${minor < 0n ? 475 : 165},${amount(minor)},V,${short(value)},,B${reference.slice(0, 8)},${reference},${text.slice(0, 30)}`,
        ...(text.length > 30 ? [`88,${text.slice(30)}`] : []),
      ]),
      `49,${total},${ofAccount}/`,
      `98,${total},1,${ofAccount + 2}/`,
    ];
  });
  const trailer = `99,${fileTotal},${statements.length},${records + 1}/`;
  return `01,BANK,MERCHANT,260105,2300,1,80,,2/\n${[...lines, trailer].join('\n')}\n`;
}

export function camtOf(statements: readonly MadeStatement[], { version = '02', kind = 'Stmt' } = {}): string {
  const isNew = Number(version) >= 8;
  const root = { Stmt: 'BkToCstmrStmt', Rpt: 'BkToCstmrAcctRpt', Ntfctn: 'BkToCstmrDbtCdtNtfctn' }[kind];
  const balance = (code: string, minor: bigint, { currency, day }: MadeStatement) =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="${currency}">${printed(minor, currency, '.')}</Amt><CdtDbtInd>${minor < 0n ? 'DBIT' : 'CRDT'}</CdtDbtInd><Dt><Dt>${day}</Dt></Dt></Bal>`;
  const entryOf = ({ minor, booked, value, reference, text, name }: MadeEntry, { currency }: MadeStatement) => {
    const party = minor < 0n ? 'Cdtr' : 'Dbtr';
    return `
      <Ntry><Amt Ccy="${currency}">${printed(minor, currency, '.')}</Amt><CdtDbtInd>${minor < 0n ? 'DBIT' : 'CRDT'}</CdtDbtInd>
        <Sts>${isNew ? '<Cd>BOOK</Cd>' : 'BOOK'}</Sts><BookgDt><Dt>${booked}</Dt></BookgDt><ValDt><DtTm>${value}T10:00:00+01:00</DtTm></ValDt>
        <AcctSvcrRef>B${escaped(reference.slice(0, 8))}</AcctSvcrRef>
        <NtryDtls><TxDtls><Refs><EndToEndId>${escaped(reference)}</EndToEndId></Refs><RltdPties><${party}>${isNew ? `<Pty><Nm>${escaped(name)}</Nm></Pty>` : `<Nm>${escaped(name)}</Nm>`}</${party}></RltdPties>
          <RmtInf><Ustrd>${escaped(text)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`;
  };
  const body = statements.map(
    (statement) => `
    <${kind}><Id>S-${statement.number}</Id><ElctrncSeqNb>${statement.number}</ElctrncSeqNb><Acct><Id><IBAN>${statement.account}</IBAN></Id><Ccy>${statement.currency}</Ccy></Acct>
      ${balance('OPBD', statement.opening, statement)}${balance('CLBD', closingOf(statement), statement)}${statement.entries.map((entry) => entryOf(entry, statement)).join('')}
    </${kind}>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.${version}"><${root}><GrpHdr><MsgId>M</MsgId></GrpHdr>${body.join('')}</${root}></Document>
`;
}

import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Currency } from '../src/domain/money/currency.ts';
import { formatAmount, magnitude } from '../src/domain/money/money.ts';
import type { BankEntry, Statement } from './bank.ts';
import { compact } from './week.ts';

/** Writes one statement into a folder, as of the evening of its day, and returns the path. */
export async function writeStatement(statement: Statement, folder: string): Promise<string> {
  const { account, day } = statement;
  const [name, text] = account.format === 'camt' ? ['camt053', camtOf(statement)] : ['mt940', mt940Of(statement)];
  const path = join(folder, `${name}_${account.currency}_${compact(day)}.${account.format === 'camt' ? 'xml' : 'sta'}`);
  await mkdir(folder, { recursive: true });
  await writeFile(path, text);
  // With the same time the same file is nothing new to a book that knows it.
  const at = new Date(`${day}T20:30:00Z`);
  await utimes(path, at, at);
  return path;
}

const amountOf = (minor: bigint, currency: Currency): string => formatAmount(magnitude(minor), currency);
const markOf = (minor: bigint): string => (minor < 0n ? 'DBIT' : 'CRDT');

function camtOf({ account, day, number, entries }: Statement): string {
  const { currency, openingMinor } = account;
  const money = (minor: bigint) => `<Amt Ccy="${currency}">${amountOf(minor, currency)}</Amt>`;
  const balance = (code: string) =>
    `      <Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp>${money(openingMinor)}<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>${day}</Dt></Dt></Bal>`;
  const entry = ({ minor, reference, text, name, chargesMinor }: BankEntry) => {
    const party = minor < 0n ? 'Cdtr' : 'Dbtr';
    return [
      '      <Ntry>',
      `        ${money(minor)}<CdtDbtInd>${markOf(minor)}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>`,
      `        <BookgDt><Dt>${day}</Dt></BookgDt><ValDt><Dt>${day}</Dt></ValDt>`,
      ...(chargesMinor === 0n
        ? []
        : [`        <Chrgs><Rcrd>${money(chargesMinor)}<CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs>`]),
      '        <NtryDtls><TxDtls>',
      `          <Refs><EndToEndId>${reference}</EndToEndId></Refs>`,
      `          <RltdPties><${party}><Pty><Nm>${name}</Nm></Pty></${party}></RltdPties>`,
      `          <RmtInf><Ustrd>${text}</Ustrd></RmtInf>`,
      '        </TxDtls></NtryDtls>',
      '      </Ntry>',
    ];
  };
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">',
    '  <BkToCstmrStmt>',
    `    <GrpHdr><MsgId>CORNER-${compact(day)}</MsgId><CreDtTm>${day}T20:30:00Z</CreDtTm></GrpHdr>`,
    '    <Stmt>',
    `      <Id>${currency}-${number}</Id><ElctrncSeqNb>${number}</ElctrncSeqNb>`,
    `      <Acct><Id><IBAN>${account.number}</IBAN></Id><Ccy>${currency}</Ccy></Acct>`,
    balance('OPBD'),
    balance('CLBD'),
    ...entries.flatMap(entry),
    '    </Stmt>',
    '  </BkToCstmrStmt>',
    '</Document>',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** A line of `:86:` has 65 characters. */
const LINE = /.{1,65}/g;

function mt940Of({ account, day, number, entries }: Statement): string {
  const short = compact(day).slice(2);
  const amount = (minor: bigint) => {
    const text = amountOf(minor, account.currency).replace('.', ',');
    return text.includes(',') ? text : `${text},`;
  };
  const balance = (tag: string) => `:${tag}:C${short}${account.currency}${amount(account.openingMinor)}`;
  const lines = [
    ':20:CORNERBANK',
    `:25:${account.number}`,
    `:28C:${number}/1`,
    balance('60F'),
    ...entries.flatMap(({ minor, reference, text, name }) => [
      `:61:${short}${short.slice(2)}${minor < 0n ? 'D' : 'C'}${amount(minor)}NTRF${reference}`,
      ...(`:86:/NAME/${name}/REMI/${text}/EREF/${reference}`.match(LINE) ?? []),
    ]),
    balance('62F'),
    '-',
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

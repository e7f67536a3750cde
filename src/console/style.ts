/** The style of all pages: quiet and dense, for people who look at numbers all day. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #fff; --shade: #f6f8fa; --accent: #0b57d0; --bad: #b3261e; --warn: #8a5300; --good: #1a6334; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #363d46; --paper: #14181d; --shade: #1d232a; --accent: #8ab4f8; --bad: #ff9c94; --warn: #f0c37b; --good: #86d39d; } }
* { box-sizing: border-box; }
body { margin: 0; font: 0.9rem/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
p { overflow-wrap: anywhere; } a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 0.5rem; top: 0.5rem; background: var(--paper); padding: 0.3rem; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; align-items: center; padding: 0.5rem 1rem; border-bottom: 1px solid var(--line); background: var(--shade); }
nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; } nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
.out { margin-left: auto; }
main { padding: 0.5rem 1rem 3rem; max-width: 110rem; }
h1 { font-size: 1.3rem; margin: 0.6rem 0; } h2 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
form.filter, form.act, fieldset.act { display: flex; flex-wrap: wrap; gap: 0.5rem 0.8rem; align-items: end; padding: 0.6rem; border: 1px solid var(--line); border-radius: 4px; background: var(--shade); margin: 0.6rem 0; }
label { color: var(--soft); } input, select, textarea, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 3px; padding: 0.15rem 0.4rem; }
button { border-color: var(--accent); color: var(--accent); cursor: pointer; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.7rem 0.2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } td { white-space: nowrap; } td.text { white-space: normal; min-width: 28rem; max-width: 60rem; overflow-wrap: anywhere; } th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.number { text-align: right; }
.state { white-space: nowrap; } .reconciled, .accepted, .arrived, .ok { color: var(--good); } .discrepant, .open, .overdue, .different, .problem, .refused { color: var(--bad); } .incomplete, .waiting, .expected, .returned, .warning, .withdrawn, .pendingApproval, .snoozed, .assigned { color: var(--warn); }
.none, .note { color: var(--soft); } .wrong { border-left: 3px solid var(--bad); padding: 0.3rem 0.8rem; background: var(--shade); white-space: pre-line; } .done { border-left: 3px solid var(--good); padding: 0.3rem 0.8rem; background: var(--shade); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.waterfall tbody th { font-weight: 400; color: var(--ink); } .waterfall .total th, .waterfall .total td { font-weight: 600; }
.waterfall .chart { padding: 0; border-bottom: 0; width: 100%; min-width: 12rem; max-width: 34rem; } .waterfall svg { display: block; width: 100%; height: 1.75rem; }
.waterfall line { stroke: var(--soft); vector-effect: non-scaling-stroke; } .waterfall line.zero { stroke: var(--line); }
.waterfall rect { vector-effect: non-scaling-stroke; } rect.total { fill: var(--ink); } rect.up { fill: var(--accent); } rect.down { fill: var(--paper); stroke: var(--bad); stroke-width: 1.5; }
.recent { display: flex; flex-direction: row-reverse; } .recent > table { margin-right: auto; } .strip th[scope=row] { position: sticky; left: 0; background: var(--paper); }
.strip th, .strip td { padding: 0; text-align: center; } .strip th[scope=row] { padding-right: 0.7rem; text-align: left; } .strip thead th { font-weight: 400; min-width: 1.6rem; } .strip .month { border-left: 1px solid var(--soft); }
.strip a { display: block; min-width: 1.6rem; text-decoration: none; color: inherit; font-weight: 700; } .strip a.reconciled { color: var(--good); font-weight: 400; } .strip a.discrepant { color: var(--paper); background: var(--bad); } .strip a.incomplete, .strip a.waiting { color: var(--warn); background: var(--shade); }
@media (min-width: 60rem) { fieldset.act { position: sticky; bottom: 0; } fieldset.act legend { background: var(--shade); } }
@media (max-width: 40rem) { .waterfall .rows { display: none; } .waterfall .chart { min-width: 5rem; } .waterfall tbody th { white-space: normal; } }
@media print { header, form, .skip { display: none; } body { font-size: 9pt; } .scroll { overflow: visible; } }
`;

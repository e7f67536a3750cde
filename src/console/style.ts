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
form.filter, form.act { display: flex; flex-wrap: wrap; gap: 0.5rem 0.8rem; align-items: end; padding: 0.6rem; border: 1px solid var(--line); border-radius: 4px; background: var(--shade); margin: 0.6rem 0; }
label { color: var(--soft); } input, select, textarea, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 3px; padding: 0.15rem 0.4rem; }
button { border-color: var(--accent); color: var(--accent); cursor: pointer; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.7rem 0.2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.state { white-space: nowrap; } .reconciled, .accepted { color: var(--good); } .discrepant, .open { color: var(--bad); } .incomplete, .waiting, .pendingApproval, .snoozed, .assigned { color: var(--warn); }
.none, .note { color: var(--soft); } .wrong { border-left: 3px solid var(--bad); padding: 0.3rem 0.8rem; background: var(--shade); white-space: pre-line; } .done { border-left: 3px solid var(--good); padding: 0.3rem 0.8rem; background: var(--shade); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.strip td { padding: 0.1rem; } .strip a { display: block; min-width: 1.5rem; text-align: center; text-decoration: none; color: inherit; border: 1px solid var(--line); }
@media print { header, form, .skip { display: none; } body { font-size: 9pt; } .scroll { overflow: visible; } }
`;

/** How the page looks, by light and by dark. Colours name contenders, and keep to them all over the page. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --panel: #ffffff; --ink: #1c1d21; --soft: #5d626d; --rule: #e4e5e8;
  --licd: #1d5fe0; --echo: #6f7682; --ceiling: #a2a8b3; --etcd: #0b8a7d; --kv: #c66a06;
  --redis: #cf2f3c; --postgres: #7b46d6; --floor: #8d8f2a; --good: #16803c; --bad: #b4232e;
  --client: #7fa6f2; --server: #1d5fe0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131418; --panel: #1b1d22; --ink: #ecedf0; --soft: #a0a6b2; --rule: #30333b;
    --licd: #6ea2ff; --echo: #9aa1ae; --ceiling: #6b7280; --etcd: #35c2b2; --kv: #f0a144;
    --redis: #ff7b83; --postgres: #b592ff; --floor: #c5c75a; --good: #5fd38a; --bad: #ff8d94;
    --client: #3b5f9f; --server: #6ea2ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 40px 28px 80px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif;
}
main { max-width: 1240px; margin: 0 auto; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.02em; }
h2 { font-size: 20px; margin: 52px 0 4px; letter-spacing: -0.01em; }
h3 { font-size: 14px; margin: 0 0 10px; font-weight: 600; }
p { margin: 0 0 14px; max-width: 76ch; }
.soft { color: var(--soft); }
.grid-of { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 18px; margin-top: 16px; }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 16px 18px 10px; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin: 24px 0 8px; }
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 30px; line-height: 1.15; letter-spacing: -0.02em; font-weight: 650; color: var(--licd); }
.tile span { color: var(--soft); font-size: 13px; }
.chart { width: 100%; height: auto; display: block; }
.chart text { font-size: 12px; fill: var(--soft); font-family: inherit; }
.chart text.name { fill: var(--ink); }
.chart text.figure { fill: var(--ink); font-variant-numeric: tabular-nums; }
.chart text.strong { font-weight: 650; }
.chart text.tick, .chart text.axis, .chart text.note { font-size: 11px; font-variant-numeric: tabular-nums; }
.chart text.series { font-size: 12px; }
.chart .grid { stroke: var(--rule); stroke-width: 1; }
.chart .stem { stroke-width: 1.5; opacity: 0.45; }
.chart .whisker { stroke-width: 4; opacity: 0.35; stroke-linecap: round; }
.chart .dot { stroke: var(--panel); stroke-width: 1.5; }
.chart .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart .curve.strong { stroke-width: 3; }
.chart .lead { stroke-width: 1; opacity: 0.4; }
.scroll { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; background: var(--panel); }
th, td { padding: 6px 12px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child { text-align: left; }
tr.ours td { font-weight: 600; }
.met { color: var(--good); } .missed { color: var(--bad); font-weight: 600; }
details { margin-top: 16px; } summary { cursor: pointer; color: var(--soft); }
@media (max-width: 520px) { body { padding: 24px 14px 60px; } .grid-of { grid-template-columns: 1fr; } }
`

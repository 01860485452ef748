"""The frame and the style sheet of report.html: one column, light and dark, from a phone to a wide screen.

Nothing is loaded from anywhere: the typefaces are those that the reader's system has.
"""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="over">Generative Latent Nearest Neighbours</p>
{heading}
{facts}
</header>
{contents}
<main>
{sections}
</main>
<footer>Figures and tables are drawn again by <code>./run_all.sh</code>; each has its record beside it.</footer>
</body>
</html>
"""

STYLE = """\
:root {
  --paper: #fcfbf8; --card: #ffffff; --ink: #24231f; --soft: #6c6961; --line: #e3dfd6; --accent: #9a4a1f;
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, "DejaVu Serif", serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #191816; --card: #22211e; --ink: #e6e2d9; --soft: #9d988c; --line: #38352f; --accent: #e39a6b; }
  .frame { filter: brightness(.88); }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  max-width: 58rem; margin: 0 auto; padding: clamp(1.5rem, 5vw, 4rem) clamp(1rem, 4vw, 2.5rem) 4rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 var(--serif); overflow-wrap: break-word;
}
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: .18em; }
code, pre { font: .85em/1.5 var(--mono); }
.over, dt, nav span, .links, summary, footer, .took, th { font-family: var(--sans); color: var(--soft); }
.over { margin: 0 0 .6rem; font-size: .8rem; letter-spacing: .07em; text-transform: uppercase; }
h1 { margin: 0; font-size: clamp(2rem, 7vw, 3rem); font-weight: 600; line-height: 1.1; letter-spacing: -.015em; }
h1 small { font-size: .5em; font-weight: 400; font-style: italic; letter-spacing: 0; color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(11rem, 40%), 1fr)); gap: .9rem 1.6rem; }
dl { margin: 1.8rem 0; }
dt { font-size: .75rem; }
dd { margin: 0; font-size: .95rem; line-height: 1.4; }
dl .wide { grid-column: 1 / -1; }
nav { border-block: 1px solid var(--line); padding: 1rem 0; }
nav ol { list-style: none; margin: 0; padding: 0; columns: 20rem 2; column-gap: 2rem; }
nav li { break-inside: avoid; padding: .15rem 0 .15rem 2.2em; text-indent: -2.2em; }
nav a { color: inherit; text-decoration: none; }
nav a:hover { color: var(--accent); }
nav span { display: inline-block; width: 2.6em; text-indent: 0; font-size: .85em; font-variant-numeric: tabular-nums; }
section { margin-top: 4rem; }
h2 { margin: 0; font-size: 1.55rem; font-weight: 600; line-height: 1.25; letter-spacing: -.01em; }
h2 span { color: var(--accent); font-weight: 400; font-variant-numeric: tabular-nums; margin-right: .4em; }
.took { margin: .35rem 0 0; font-size: .82rem; }
figure { margin: 2rem 0 2.6rem; }
.frame { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: clamp(.4rem, 2vw, 1rem); }
.frame img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { max-width: 44rem; margin-top: .8rem; font-size: .98rem; }
.scroll { width: fit-content; min-width: min(28rem, 100%); max-width: 100%; overflow-x: auto; }
.scroll { background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
table { width: 100%; border-collapse: collapse; font: .88rem/1.4 var(--sans); }
th, td { padding: .5rem .9rem; text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 500; font-size: .82rem; vertical-align: bottom; }
th:first-child { min-width: 6.5rem; }
tr:last-child td { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.q, tfoot td { color: var(--soft); font-style: italic; }
tfoot td { border-top: 1px solid var(--line); font-size: .8rem; }
.meta { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.2rem; margin-top: .4rem; }
.links { margin: 0; font-size: .8rem; }
summary { cursor: pointer; font-size: .8rem; width: fit-content; }
details[open], .meta .note { flex-basis: 100%; min-width: 0; }
pre { margin: .6rem 0 0; padding: 1rem; max-height: 24rem; overflow: auto; white-space: pre-wrap;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; font-size: .75rem; }
.note { border-left: 3px solid var(--accent); margin: .8rem 0; padding: .1rem 0 .1rem .8rem; font: .9rem var(--sans); }
footer { margin-top: 5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .8rem; }
@media print {
  body { max-width: none; padding: 0; } nav, .links, details { display: none; } figure { break-inside: avoid; }
}
"""

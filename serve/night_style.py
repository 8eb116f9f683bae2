"""How the page of a night looks: light, dark, on a phone and on paper. No colour says anything that words do not."""

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1d20; --faint: #5b6067; --line: #d9dce0;
  --soft: #f3f5f7; --bar: #0072b2; --was: #9aa1a9; --good: #00694d; --bad: #b23c00; --odd: #7a5200;
  --bad-ground: #fdf0ea; --good-ground: #e9f6f1; --odd-ground: #fdf5e3 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #e9ebee; --faint: #a2a9b2; --line: #353a41; --soft: #1f2226; --bar: #56b4e9;
    --was: #767d86; --good: #5fd3ad; --bad: #ff9d6b; --odd: #f0c05a; --bad-ground: #3a2219;
    --good-ground: #17302a; --odd-ground: #352b16 }
}
* { box-sizing: border-box }
html { font-size: 16px }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem 1rem 3rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.45 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .8rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem }
p { margin: .4rem 0 }
ul { margin: .4rem 0; padding-left: 1.2rem }
.faint { color: var(--faint) }
small, .small { font-size: .85rem }
.verdict { display: flex; gap: .8rem; align-items: flex-start; padding: .9rem 1rem; border-left: .4rem solid;
  border-radius: .3rem }
.verdict b { display: block; font-size: 1.15rem }
.verdict svg { flex: none; width: 2rem; height: 2rem; margin-top: .1rem }
.good { color: var(--good) }
.bad { color: var(--bad) }
.odd { color: var(--odd) }
.verdict.good { background: var(--good-ground) }
.verdict.bad { background: var(--bad-ground) }
.verdict.odd { background: var(--odd-ground) }
.verdict div { color: var(--ink) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem; margin: .6rem 0 }
dl.names { grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)) }
dl div { background: var(--soft); padding: .5rem .7rem; border-radius: .3rem; display: flex;
  flex-direction: column; justify-content: space-between }
dt { color: var(--faint); font-size: .8rem; line-height: 1.25 }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums }
.names dd { font-size: .9rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal; font-variant-numeric: tabular-nums }
th { text-align: right; white-space: nowrap; font-weight: 600; font-size: .8rem; color: var(--faint);
  padding: .25rem 0 .25rem .8rem;
  vertical-align: bottom }
td { text-align: right; padding: .35rem 0 .35rem .8rem; border-top: 1px solid var(--line); vertical-align: top;
  white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal;
  overflow-wrap: break-word; min-width: 8.5rem }
td .track { margin-top: .3rem; height: .7rem; max-width: 30rem }
td small { color: var(--faint) }
td small.words { display: block }
.mark { font-weight: 600 }
tr.bad td:first-child, tr.odd td:first-child { padding-left: .6rem }
tr.bad, tr.odd { color: var(--ink) }
tr.bad .mark { color: var(--bad) }
tr.odd .mark { color: var(--odd) }
tr.bad td:first-child { box-shadow: inset .25rem 0 var(--bad) }
tr.odd td:first-child { box-shadow: inset .25rem 0 var(--odd) }
.bars { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr max-content; gap: .3rem .7rem;
  align-items: center }
.bars > span:first-child, .bars > .name { max-width: 17rem }
.bars .figure { text-align: right; font-variant-numeric: tabular-nums }
.track { display: block; position: relative; height: .95rem; background: var(--soft); border-radius: .15rem }
.track i { position: absolute; left: 0; top: 0; bottom: 0; background: var(--bar); border-radius: .15rem }
.track i.was { background: var(--was) }
.track.two i { bottom: 50% }
.track.two i.was { top: 50%; bottom: 0 }
.track b { position: absolute; top: -.2rem; bottom: -.2rem; width: 0; border-left: 2px dashed var(--ink) }
.key i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; vertical-align: -.05rem;
  background: var(--bar) }
.key i:first-child { margin-left: 0 }
.key i.was { background: var(--was) }
.key b { display: inline-block; height: .9rem; margin: 0 .4rem 0 .9rem; vertical-align: -.1rem;
  border-left: 2px dashed var(--ink) }
.chip { display: inline-block; width: .75rem; height: .75rem; margin-right: .45rem; border-radius: .15rem;
  border: 1px solid var(--faint) }
.flow { display: grid; grid-template-columns: minmax(6rem, 1fr) minmax(4rem, 1.2fr) minmax(6rem, 1fr);
  margin: .8rem 0 }
.flow > div { position: relative; font-size: .82rem; line-height: 1.2 }
.flow span { position: absolute; left: 0; right: 0; transform: translateY(-50%); display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
.flow > div:first-child { text-align: right; margin-right: .5rem }
.flow > div:last-child { margin-left: .5rem }
.flow svg { width: 100%; display: block }
.fields { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 0 2rem }
@media (max-width: 34rem) {
  th:first-child, td:first-child { min-width: 5.8rem }
  td .mark { white-space: normal }
  html { font-size: 15px }
  td, th { padding-left: .5rem }
  .bars { grid-template-columns: 1fr max-content }
  .bars > .name { grid-column: 1 / -1; max-width: none; margin-top: .3rem }
}
@media print {
  :root { color-scheme: light; --ground: #ffffff; --ink: #000000; --faint: #444444; --line: #bbbbbb;
    --soft: #eeeeee; --bar: #0072b2; --was: #9aa1a9; --good: #00694d; --bad: #b23c00; --odd: #7a5200;
    --bad-ground: #ffffff; --good-ground: #ffffff; --odd-ground: #ffffff }
  html { font-size: 10.5px }
  body { max-width: none; padding: 0 }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  h2, h3 { break-after: avoid }
  tr, .bars > *, .flow, dl div { break-inside: avoid }
}
"""

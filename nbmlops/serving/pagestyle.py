"""The look of the documentation page, light and dark."""

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#e2e6ec;--back:#fff;--side:#f6f8fa;--code:#f4f6f8;--link:#0b61c4;
--get:#0b7a4b;--post:#8a4b00;--ok:#0b7a4b;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#2d3540;--back:#14181d;--side:#191e25;
--code:#1d232b;--link:#79b8ff;--get:#56d39b;--post:#f0b35e;--ok:#56d39b;--bad:#ff8a80}}
*{box-sizing:border-box}html{scroll-behavior:smooth}
body{margin:0;display:grid;grid-template-columns:17rem minmax(0,1fr);color:var(--ink);background:var(--back);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.5rem 1rem;background:var(--side);
border-right:1px solid var(--line);font-size:.875rem}
nav strong{display:block;font-size:1.05rem;margin-bottom:1rem;overflow-wrap:anywhere}
nav h4{margin:1.1rem 0 .3rem;color:var(--soft);font-size:.72rem;letter-spacing:.06em;text-transform:uppercase}
nav a{display:flex;gap:.5rem;align-items:baseline;padding:.2rem .4rem;border-radius:.35rem;color:inherit;
text-decoration:none;overflow-wrap:anywhere}nav a:hover{background:var(--line)}nav .sub a{color:var(--soft);
margin-left:.7rem}
main{max-width:56rem;padding:2rem 2.5rem 6rem;min-width:0}
h1{margin:0;font-size:2rem;line-height:1.2}h1 small{font-size:.9rem;font-weight:400;color:var(--soft)}
.lead{color:var(--soft);margin:.4rem 0 1rem}.note{padding:.7rem 1rem;background:var(--side);
border-left:3px solid var(--link)}
section{margin-top:2.6rem;padding-top:1.4rem;border-top:1px solid var(--line);scroll-margin-top:1rem}
h2{display:flex;flex-wrap:wrap;align-items:center;gap:.6rem;margin:0 0 .4rem;font-size:1.3rem}
h3{margin:1.5rem 0 .4rem;font-size:.95rem;color:var(--soft)}
a{color:var(--link)}code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,"Liberation Mono",monospace;
font-size:.86em}
h2 code{font-size:1em}code{overflow-wrap:anywhere}td code{white-space:nowrap;overflow-wrap:normal}
td code,p code{background:var(--code);padding:.1em .3em;
border-radius:.25rem}
pre{margin:0;padding:.8rem 1rem;background:var(--code);border-radius:.4rem;overflow:auto;line-height:1.5;
max-height:32rem}
figure{margin:.5rem 0}figcaption{color:var(--soft);font-size:.75rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;display:block;overflow-x:auto}
th{color:var(--soft);font-weight:600;font-size:.78rem}th,td{padding:.45rem .8rem .45rem 0;text-align:left;
vertical-align:top;border-bottom:1px solid var(--line)}td:first-child{white-space:nowrap}
.m,.s{font-family:ui-monospace,monospace;font-weight:700}.m{font-size:.72rem;min-width:2.6rem}h2 .m{font-size:.85rem}
.get{color:var(--get)}.post{color:var(--post)}.ok{color:var(--ok)}.bad{color:var(--bad)}
.tag{font-size:.7rem;font-weight:400;color:var(--soft);border:1px solid var(--line);border-radius:1rem;
padding:.05rem .55rem}
details{margin:.4rem 0;border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem;scroll-margin-top:1rem}
summary{cursor:pointer}details[open]>summary{margin-bottom:.4rem}
@media (max-width:52rem){body{display:block}nav{position:static;height:auto;border-right:0;
border-bottom:1px solid var(--line)}
main{padding:1.5rem 1rem 4rem}}
@media print{nav{display:none}body{display:block}}
"""

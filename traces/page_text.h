// The fixed parts of the page: its style, its elements, its script.
#pragma once

#include <string_view>

namespace retrap::traces {

inline constexpr std::string_view kPageHead = R"html(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>retrap trace</title>
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:1em 2em;color:#222;background:#fff}
pre,td,th,input{font:13px/1.4 ui-monospace,monospace}
pre{background:#f4f4f4;padding:.6em;overflow:auto;margin:.5em 0}
tr.input{color:#06c}tr.digest{color:#093}
#divergence{background:#fde8e8;border-left:4px solid #c00}
canvas{width:100%;height:260px;border:1px solid #bbb;cursor:crosshair;display:block}
.columns{display:flex;gap:2em;flex-wrap:wrap;align-items:flex-start}
table{border-collapse:collapse}td,th{padding:.1em .6em;text-align:right}
td:last-child,th:last-child{text-align:left}tr.kind{cursor:pointer}tr.off{opacity:.35}
.swatch{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
input{width:32em;padding:.2em}#hint{color:#666}
</style>
<h1>retrap trace</h1>
)html";

inline constexpr std::string_view kPageBody = R"html(
<p><input id="filter" placeholder="filter: a kind, vm 1 vcpu 0, or part of a pc"> <span id="hint">
wheel: zoom, drag: move, double click: all, click a kind: hide it</span></p>
<canvas id="timeline"></canvas><pre id="range"></pre>
<div class="columns"><table id="kinds"></table><table id="pcs"></table>
<table id="list"></table><table id="marks"></table></div>
)html";

inline constexpr std::string_view kPageScript = R"js(
const bytes=t=>{const s=atob(t),a=new Uint8Array(s.length);
 for(let i=0;i<s.length;i++)a[i]=s.charCodeAt(i);return a};
const tb=bytes(TIMES),kind=bytes(KINDS),place=bytes(PLACES),N=kind.length;
const time=new Float64Array(N),pc=new Uint32Array(bytes(PCS).buffer);
const detail=new BigUint64Array(bytes(DETAILS).buffer);
for(let i=0,p=0;i<N;i++,p+=6)time[i]=tb[p]+tb[p+1]*256+tb[p+2]*65536+tb[p+3]*16777216
 +tb[p+4]*4294967296+tb[p+5]*1099511627776;
const $=id=>document.getElementById(id),canvas=$("timeline"),ctx=canvas.getContext("2d");
const color=k=>`hsl(${(k*67+200)%360} 65% 45%)`;
const ends=MARKS.length?[MARKS[0].t,MARKS[MARKS.length-1].t]:[];
if(N)ends.push(time[0],time[N-1]);
const first=ends.length?Math.min(...ends):0,last=ends.length?Math.max(...ends,first+1):1;
const redAt=DIVERGENCE>=0&&DIVERGENCE<N?time[DIVERGENCE]:DIVERGED_AT;
let from=first,to=last,off=new Set(),words="";
const shown=i=>{if(off.has(kind[i]))return false;if(!words)return true;
 return (KIND_NAMES[kind[i]]+" "+PLACE_NAMES[place[i]]+" "+PC_NAMES[pc[i]]).includes(words)};
const lower=t=>{let a=0,b=N;while(a<b){const m=(a+b)>>1;time[m]<t?a=m+1:b=m}return a};
const ns=t=>t>=1e9?(t/1e9).toFixed(6)+" s":t>=1e6?(t/1e6).toFixed(3)+" ms":Math.round(t)+" ns";
function draw(){
 const W=canvas.width=canvas.clientWidth,H=canvas.height=260,span=to-from;
 ctx.clearRect(0,0,W,H);
 const rows=Math.max(1,PLACE_NAMES.length),h=H/rows,a=lower(from),b=lower(to+1);
 const counts=new Map(),byKind=new Map(),byPc=new Map(),seen=[];let total=0;
 for(let i=a;i<b;i++){if(!shown(i))continue;total++;
  const x=Math.min(W-1,Math.floor((time[i]-from)/span*W)),key=(x*rows+place[i])*32+kind[i];
  counts.set(key,(counts.get(key)||0)+1);
  byKind.set(kind[i],(byKind.get(kind[i])||0)+1);byPc.set(pc[i],(byPc.get(pc[i])||0)+1);
  if(seen.length<40)seen.push(i)}
 const heights=new Map();let most=1;
 for(const[key,n]of counts){const c=key>>5;heights.set(c,(heights.get(c)||0)+n);
  most=Math.max(most,heights.get(c))}
 const base=new Map(),scale=n=>Math.log2(1+n)/Math.log2(1+most)*(h-14);
 for(const[key,n]of counts){const c=key>>5,x=Math.floor(c/rows),row=c%rows,sum=heights.get(c);
  const part=scale(sum)*n/sum,y=base.get(c)||0;ctx.fillStyle=color(key&31);
  ctx.fillRect(x,(row+1)*h-y-part,1,Math.max(part,.5));base.set(c,y+part)}
 ctx.fillStyle="#000";PLACE_NAMES.forEach((n,r)=>ctx.fillText(n,4,r*h+11));
 const near=MARKS.filter(m=>m.t>=from&&m.t<=to&&(!words||(m.kind+" "+m.what).includes(words)));
 for(const m of near){ctx.fillStyle=m.kind=="input"?"#06c":"#093";
  ctx.fillRect((m.t-from)/span*(W-2),m.kind=="input"?0:H-8,2,8)}
 if(redAt>=0){ctx.fillStyle="#c00";ctx.fillRect((redAt-from)/span*W-1,0,3,H)}
 $("range").textContent=`${ns(from)} to ${ns(to)}: ${total} exits shown of ${N}`
  +(MARKS.length?`, ${near.length} inputs and digests of ${MARKS.length}`:"");
 const text=t=>t.replace(/[&<>]/g,c=>({"&":"&amp;","<":"&lt;",">":"&gt;"})[c]);
 $("marks").innerHTML=MARKS.length?"<tr><th>time<th>input or digest</tr>"+near.slice(0,40).map(m=>
  `<tr class="${m.kind}"><td>${ns(m.t)}<td>${m.kind} ${text(m.what)}</tr>`).join(""):"";
 const top=m=>[...m].sort((x,y)=>y[1]-x[1]);
 $("pcs").innerHTML="<tr><th>exits<th>pc</tr>"+top(byPc).slice(0,20)
  .map(([p,n])=>`<tr><td>${n}<td>${PC_NAMES[p]}</tr>`).join("");
 const all=new Map();for(const k of kind)all.set(k,0);
 for(const[k,n]of byKind)all.set(k,n);
 $("kinds").innerHTML="<tr><th>exits<th>kind</tr>"+top(all).map(([k,n])=>
  `<tr class="kind${off.has(k)?" off":""}" data-kind="${k}"><td>${n}<td><span class="swatch"
  style="background:${color(k)}"></span>${KIND_NAMES[k]}</tr>`).join("");
 $("list").innerHTML="<tr><th>exit<th>time<th>what</tr>"+seen.map(i=>
  `<tr><td>${i}<td>${ns(time[i])}<td>${PLACE_NAMES[place[i]]} ${PC_NAMES[pc[i]]} `+
  `${KIND_NAMES[kind[i]]} ${FIELD_NAMES[kind[i]]?FIELD_NAMES[kind[i]]+"=0x"+detail[i]
  .toString(16):""}</tr>`).join("");
}
const clamp=()=>{if(to-from<10)to=from+10;if(to-from>last-first){from=first;to=last}
 if(from<first){to+=first-from;from=first}if(to>last){from-=to-last;to=last}};
canvas.addEventListener("wheel",e=>{e.preventDefault();const f=e.deltaY<0?.7:1/.7,
 at=from+(to-from)*e.offsetX/canvas.clientWidth;from=at-(at-from)*f;to=at+(to-at)*f;clamp();draw()},
 {passive:false});
let drag=null;canvas.addEventListener("mousedown",e=>drag=e.offsetX);
window.addEventListener("mouseup",()=>drag=null);
canvas.addEventListener("mousemove",e=>{if(drag===null)return;
 const d=(drag-e.offsetX)/canvas.clientWidth*(to-from);drag=e.offsetX;from+=d;to+=d;clamp();
 draw()});
canvas.addEventListener("dblclick",()=>{from=first;to=last;draw()});
$("kinds").addEventListener("click",e=>{const r=e.target.closest("tr.kind");if(!r)return;
 const k=+r.dataset.kind;off.has(k)?off.delete(k):off.add(k);draw()});
$("filter").addEventListener("input",e=>{words=e.target.value.trim();draw()});
window.addEventListener("resize",draw);draw();
)js";

}  // namespace retrap::traces

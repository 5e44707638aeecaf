
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const player = document.getElementById("player");
const plot = document.getElementById("plot");
const slider = document.getElementById("time");
const rows = [...document.querySelectorAll("#now li")];
const attentions = [...document.querySelectorAll("#attention strong")];
const seekers = [...document.querySelectorAll("#table button")];
const spans = [...document.querySelectorAll("#table tbody:first-of-type button")]; // of the whole picture, in order of time

function clock(time_s) {
  const tenths = Math.round(10 * time_s);
  const seconds = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36000);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

// The number of the last entry that does not begin after the time, by halving: two hours have thousands.
function entryAt(starts_s, time_s) {
  let low = 0, high = starts_s.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts_s[middle] <= time_s) low = middle + 1; else high = middle;
  }
  return low - 1;
}

const spanStarts_s = spans.map((button) => Number(button.dataset.start));
let marked = null;

function show(time_s) {
  document.getElementById("cursor").style.left = `${(100 * time_s) / data.duration_s}%`;
  document.getElementById("clock").textContent = clock(time_s);
  slider.value = time_s;
  slider.setAttribute("aria-valuetext", clock(time_s));
  const segment = entryAt(data.starts_s, time_s);
  rows.forEach((row, index) => {
    const isKnown = segment >= 0 && !data.nothing[segment];
    const percent = isKnown ? data.percent[segment][index] : 0;
    row.querySelector(".fill").style.width = `${percent}%`;
    row.querySelector(".value").textContent = isKnown ? `${percent} %` : "-";
  });
  attentions.forEach((shown, index) => {
    const curve = segment >= 0 ? data.attention[index][segment] : [];
    const place = Math.floor((time_s - data.starts_s[segment]) / data.attention_step_s + 1e-6);
    shown.textContent = curve.length ? curve[Math.min(place, curve.length - 1)].toFixed(1) : "-";
  });
  const row = spans[entryAt(spanStarts_s, time_s)]?.closest("tr") ?? null;
  if (row !== marked) {
    marked?.classList.remove("playing");
    row?.classList.add("playing");
    marked = row;
  }
}

function seek(time_s) {
  const inside_s = Math.min(Math.max(time_s, 0), data.duration_s);
  if (player && player.readyState > 0) player.currentTime = inside_s;
  show(inside_s);
}

plot.addEventListener("click", (event) => {
  const box = plot.getBoundingClientRect();
  seek((data.duration_s * (event.clientX - box.left)) / box.width);
});
slider.addEventListener("input", () => seek(Number(slider.value)));
seekers.forEach((button) => button.addEventListener("click", () => seek(Number(button.dataset.start))));
if (player) {
  player.addEventListener("timeupdate", () => show(player.currentTime));
  player.addEventListener("error", () => {
    document.getElementById("unplayable").hidden = false;
  });
  const follow = () => {
    if (!player.paused) show(player.currentTime);
    requestAnimationFrame(follow);
  };
  player.addEventListener("play", follow, { once: true });
}
show(0);

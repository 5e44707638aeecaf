"use strict";
const settings = JSON.parse(document.getElementById("settings").textContent);
const byId = (id) => document.getElementById(id);

function clock(time_s) {
  const tenths = Math.round(10 * time_s);
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36000);
  const seconds = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

function element(tag, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties);
}

async function reasonOf(response) {
  try {
    return (await response.json()).reason;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

// --- Recordings ---

const held = new Set(); // numbers of recordings that the server holds for this page

class Recording {
  // Of a file that is going to be sent, or of predictions that the server holds under a number.
  constructor(name, file, number = null) {
    this.box = element("article", "", { className: "recording" });
    this.box.append(element("h3", name));
    this.said = element("p", "", { className: "said" });
    this.progress = element("progress", "", { max: 1, value: 0 });
    this.progress.setAttribute("aria-label", `Progress of ${name}`);
    this.actions = element("div", "", { className: "row" });
    const remove = element("button", "Remove", { type: "button" });
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => this.remove());
    this.actions.append(remove);
    this.box.append(this.said, this.progress, this.actions);
    this.name = name;
    this.number = number;
    this.isRemoved = false;
    byId("results").prepend(this.box);
    if (file) this.send(file); else this.hold(number);
  }

  say(text, isWrong = false) {
    this.said.textContent = text;
    this.said.classList.toggle("warn", isWrong);
  }

  fail(text) {
    this.say(text, true);
    this.progress.hidden = true;
  }

  send(file) {
    if (file.size > settings.most_bytes) {
      this.fail(`It has ${Math.ceil(file.size / 1e6)} MB; this server takes ${Math.round(settings.most_bytes / 1e6)} MB, and more with --upload_mb.`);
      return;
    }
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    this.request = request;
    request.open("POST", "/recordings");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) this.progress.value = event.loaded / event.total;
    });
    request.addEventListener("error", () => this.fail("The server does not answer; is it still running?"));
    request.addEventListener("load", () => {
      if (request.status !== 200) {
        this.fail(request.response?.reason ?? `The server answered ${request.status}.`);
        return;
      }
      this.hold(request.response.number);
    });
    this.say("Sending ...");
    request.send(file);
  }

  hold(number) {
    this.number = number;
    held.add(number);
    this.progress.removeAttribute("value");
    if (this.isRemoved) this.remove(); else this.follow();
  }

  async follow() {
    let wait_ms = 200;
    while (!this.isRemoved) {
      let response;
      try {
        response = await fetch(`/recordings/${this.number}`);
      } catch {
        this.fail("The server does not answer; is it still running?");
        return;
      }
      if (!response.ok) {
        this.fail(await reasonOf(response));
        return;
      }
      const found = await response.json();
      if (found.state === "failed") {
        this.fail(found.reason);
        return;
      }
      if (found.state === "done") {
        this.show(found);
        return;
      }
      this.say(found.state === "waiting" ? `Waiting; ${found.num_before} before it.` : `Predicting, ${found.reached} so far.`);
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
      wait_ms = Math.min(2000, wait_ms * 1.5);
    }
  }

  show(found) {
    this.progress.hidden = true;
    const share = found.probability === null ? "" : ` (${Math.round(100 * found.probability)} %)`;
    this.say(found.nothing ? `No emotion: ${found.nothing}.` : `${found.predicted}${share} over ${found.duration}.`);
    const page = element("iframe", "", { title: `Timeline of ${this.name}`, src: `/recordings/${this.number}/page` });
    page.addEventListener("load", () => {
      const body = page.contentDocument.body;
      // Of the content alone: the height of the document is never less than that of the frame.
      new ResizeObserver(() => {
        page.style.height = `${Math.ceil(body.getBoundingClientRect().height) + 8}px`;
      }).observe(body);
    });
    this.box.insertBefore(page, this.actions);
    this.actions.prepend(element("span", "Save as", { className: "soft" }));
    for (const [format, title] of settings.formats.filter(([name]) => found.formats.includes(name))) {
      const button = element("button", title, { type: "button" });
      button.addEventListener("click", () => this.save(format, title, button));
      this.actions.insertBefore(button, this.actions.lastChild);
    }
    this.note = element("p", "", { className: "soft" });
    this.box.append(this.note);
  }

  async save(format, title, button) {
    button.disabled = true;
    this.note.textContent = `Making ${title} ...`;
    try {
      const response = await fetch(`/recordings/${this.number}/formats/${format}`);
      if (!response.ok) {
        this.note.textContent = await reasonOf(response);
        return;
      }
      const name = /filename\*?=(?:utf-8'')?"?([^";]+)"?/i.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
      const link = element("a", "", { download: name ? decodeURIComponent(name) : format, href: URL.createObjectURL(await response.blob()) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      this.note.textContent = `Saved ${link.download}.`;
    } catch {
      this.note.textContent = "The server does not answer; is it still running?";
    } finally {
      button.disabled = false;
    }
  }

  remove() {
    this.isRemoved = true;
    if (this.number) {
      held.delete(this.number);
      fetch(`/recordings/${this.number}/remove`, { method: "POST" }).catch(() => {});
    } else {
      this.request?.abort();
    }
    this.box.remove();
    byId("file").focus();
  }
}

const drop = byId("drop");
byId("file").addEventListener("change", (event) => {
  [...event.target.files].forEach((file) => new Recording(file.name, file));
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
drop.addEventListener("drop", (event) => [...event.dataTransfer.files].forEach((file) => new Recording(file.name, file)));
window.addEventListener("pagehide", () => held.forEach((number) => navigator.sendBeacon(`/recordings/${number}/remove`)));

// --- Camera and microphone ---

const SHOWN_S = 120; // of the curves
const PICTURES_PER_S = 8;
const PICTURE_PX = 480; // longer side
const MOST_UNSENT_BYTES = 1 << 20; // above this, pictures are left out

class Live {
  constructor() {
    this.hops = []; // of the last SHOWN_S
    this.sent = []; // [recorded s, time in ms], to tell how late an answer is
    this.num_samples = 0;
    this.isStopped = false;
    this.begin().catch((error) => this.end(problemOf(error)));
  }

  async begin() {
    doing("Asking for camera and microphone ...");
    byId("start").disabled = true;
    const hears = byId("hears")?.checked ?? false;
    const sees = byId("sees")?.checked ?? false;
    if (!hears && !sees) throw new Error("Choose the microphone or the camera first.");
    if (!navigator.mediaDevices) throw new Error("Browsers give camera and microphone only to pages of their own machine (localhost) and to https.");
    this.media = await navigator.mediaDevices.getUserMedia({
      audio: hears && { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      video: sees && { width: 640, height: 480 },
    });
    if (hears) {
      this.sound = new AudioContext();
      await this.sound.audioWorklet.addModule("/recorder.js");
    }
    doing("Loading the system ...");
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => this.end("The server has ended the recording."));
    this.socket.addEventListener("open", () => this.socket.send(JSON.stringify({ rate_hz: hears ? this.sound.sampleRate : null, pictures: sees })));
    byId("stop").disabled = false;
  }

  get now_s() {
    return this.sound ? this.num_samples / this.sound.sampleRate : (performance.now() - this.begin_ms) / 1000;
  }

  record() {
    this.begin_ms = performance.now();
    if (this.sound) {
      const recorder = new AudioWorkletNode(this.sound, "recorder", { numberOfOutputs: 0 });
      recorder.port.addEventListener("message", (event) => this.sendSound(event.data));
      recorder.port.start();
      this.sound.createMediaStreamSource(this.media).connect(recorder);
      this.sound.resume();
    }
    if (this.media.getVideoTracks().length) {
      const preview = byId("preview");
      preview.srcObject = this.media;
      byId("camera").hidden = false;
      byId("view").classList.add("sees");
      preview.play();
      this.canvas = document.createElement("canvas");
      this.timer = setInterval(() => this.sendPicture(preview), 1000 / PICTURES_PER_S);
    }
    doing("Recording.");
  }

  message(kind, time_s, content) {
    const bytes = new Uint8Array(16 + content.byteLength);
    const head = new DataView(bytes.buffer);
    head.setUint32(0, kind, true);
    head.setFloat64(8, time_s, true);
    bytes.set(new Uint8Array(content.buffer ?? content, content.byteOffset ?? 0, content.byteLength), 16);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes);
    this.sent.push([this.now_s, performance.now()]);
    if (this.sent.length > 500) this.sent.shift();
  }

  sendSound(samples) {
    this.num_samples += samples.length;
    if (!this.isStopped) this.message(0, this.now_s, samples);
  }

  sendPicture(preview) {
    if (!preview.videoWidth || this.socket.bufferedAmount > MOST_UNSENT_BYTES) return;
    const scale = Math.min(1, PICTURE_PX / Math.max(preview.videoWidth, preview.videoHeight));
    this.canvas.width = Math.round(preview.videoWidth * scale);
    this.canvas.height = Math.round(preview.videoHeight * scale);
    this.canvas.getContext("2d").drawImage(preview, 0, 0, this.canvas.width, this.canvas.height);
    const time_s = this.now_s;
    this.canvas.toBlob(async (blob) => {
      if (blob && !this.isStopped) this.message(1, time_s, await blob.arrayBuffer());
    }, "image/jpeg", 0.85);
  }

  take(answer) {
    if (answer.error) {
      this.end(answer.error);
      return;
    }
    if (answer.ready) {
      if (!this.isStopped) this.record();
      return;
    }
    this.hops.push(...answer.hops);
    const latest = answer.latest;
    if (latest) {
      const last = this.sent.find(([recorded_s]) => recorded_s >= latest.end_s);
      const late_ms = last ? performance.now() - last[1] : NaN;
      if (answer.latency_ms !== undefined) byId("latency").textContent = `computed in ${Math.round(answer.latency_ms)} ms${Number.isNaN(late_ms) ? "" : `, here ${Math.round(late_ms)} ms after the sound`}`;
      this.draw(latest);
      byId("faces")?.replaceChildren(...(answer.faces ?? []).map((sides) => {
        const [left, top, width, height] = sides.map((share) => `${100 * share}%`);
        const box = element("span");
        Object.assign(box.style, { left, top, width, height });
        return box;
      }));
    }
    if (answer.ended) {
      if (answer.number) new Recording(answer.name, null, answer.number);
      this.end(answer.number ? "Stopped. The predictions stand above, to be saved." : "Stopped.");
    }
  }

  draw(latest) {
    const end_s = latest.end_s;
    const begin_s = Math.max(0, end_s - SHOWN_S);
    while (this.hops.length && this.hops[0].end_s <= begin_s) this.hops.shift();
    const width_s = Math.max(end_s - begin_s, 10);
    const x = (time_s) => ((1000 * (Math.max(time_s, begin_s) - begin_s)) / width_s).toFixed(1);
    const settled_s = this.hops.length ? this.hops[this.hops.length - 1].end_s : latest.start_s;
    const newest = { ...latest, start_s: Math.min(settled_s, end_s) };
    const path = (hops, index) => {
      let pen = "M";
      return hops.map((hop) => {
        if (hop.nothing) {
          pen = "M";
          return "";
        }
        const part = `${pen}${x(hop.start_s)} ${(240 * (1 - hop.probabilities[index])).toFixed(1)}H${x(hop.end_s)}`;
        pen = "L";
        return part;
      }).join("");
    };
    [...byId("settled").children].forEach((curve, index) => curve.setAttribute("d", path(this.hops, index)));
    [...byId("newest").children].forEach((curve, index) => curve.setAttribute("d", path([newest], index)));
    for (const curve of document.querySelectorAll("#view .attention path")) curve.setAttribute("d", attentionPath([...this.hops, newest], curve.dataset.stream, latest, x));
    byId("from").textContent = clock(begin_s);
    byId("to").textContent = clock(begin_s + width_s);
    byId("label").textContent = latest.label;
    [...byId("now").children].forEach((row, index) => {
      const percent = latest.nothing ? 0 : Math.round(100 * latest.probabilities[index]);
      row.querySelector(".fill").style.width = `${percent}%`;
      row.querySelector(".value").textContent = latest.nothing ? "-" : `${percent} %`;
    });
    if (!this.isStopped) doing(`Recording, ${clock(this.now_s)}.`);
  }

  stop() {
    doing("Stopping ...");
    this.release();
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ stop: true }));
    else this.end("Stopped.");
  }

  release() {
    this.isStopped = true;
    clearInterval(this.timer);
    this.media?.getTracks().forEach((track) => track.stop());
    if (this.sound?.state !== "closed") this.sound?.close();
  }

  end(text) {
    if (live !== this) return;
    live = null;
    this.release();
    this.socket?.close();
    const preview = byId("preview");
    if (preview) {
      preview.srcObject = null;
      byId("camera").hidden = true;
      byId("faces").replaceChildren();
    }
    byId("view").classList.remove("sees");
    byId("start").disabled = false;
    byId("stop").disabled = true;
    doing(text);
  }
}

const ATTENTION_STEP_S = 0.1;
const MOST_ATTENTION = 3; // times the mean of a window, at the upper edge

// The newest hop is the end of the latest window, whose attention begins with the window.
function attentionPath(hops, stream, latest, x) {
  let pen = "M";
  return hops.map((hop) => {
    const values = hop.attention[stream];
    if (!values) {
      pen = "M";
      return "";
    }
    const from_s = hop.attention === latest.attention ? latest.start_s : hop.start_s;
    return values.map((value, step) => {
      const time_s = from_s + (step + 0.5) * ATTENTION_STEP_S;
      if (time_s < hop.start_s) return "";
      const part = `${pen}${x(time_s)} ${(80 * (1 - Math.min(value, MOST_ATTENTION) / MOST_ATTENTION)).toFixed(1)}`;
      pen = "L";
      return part;
    }).join("");
  }).join("");
}

function doing(text) {
  byId("doing").textContent = text;
}

function problemOf(error) {
  if (error.name === "NotAllowedError") return "The browser may not use camera or microphone; allow it beside the address, then start again.";
  if (error.name === "NotFoundError") return "There is no such camera or microphone.";
  return error.message;
}

let live = null;
byId("start")?.addEventListener("click", () => {
  live = new Live();
});
byId("stop")?.addEventListener("click", () => live?.stop());

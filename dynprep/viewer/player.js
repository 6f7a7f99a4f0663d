// Frames of several layers, side by side or one over the other, at the same frame, zoom and pixel.
"use strict";

const MEMORY = 384e6; // bytes of decoded frames that a page holds, at most

// What was decoded last, so that a clip that plays is decoded once and a long one does not fill the memory.
class Decoded {
  constructor() { this.frames = new Map(); this.bytes = 0; }
  async get(address, wantsPixels) {
    let frame = this.frames.get(address);
    this.frames.delete(address);
    frame ??= this.decode(address, wantsPixels);
    this.frames.set(address, frame);
    const decoded = await frame;
    if (!decoded.counted) { decoded.counted = true; this.bytes += decoded.bytes; }
    for (const [old, waiting] of this.frames) {
      if (this.bytes <= MEMORY || old === address) break;
      this.frames.delete(old);
      const gone = await waiting;
      if (gone.counted) { gone.counted = false; this.bytes -= gone.bytes; }
    }
    return decoded;
  }
  async decode(address, wantsPixels) {
    const [head, content] = address.split(",");
    const blob = new Blob([bytesOf(content)], {type: head.slice(5, head.indexOf(";"))});
    const image = await createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
    const canvas = new OffscreenCanvas(image.width, image.height);
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    pen.drawImage(image, 0, 0);
    const area = image.width * image.height;
    if (!wantsPixels) return {canvas, bytes: 4 * area};
    return {canvas, pixels: pen.getImageData(0, 0, image.width, image.height).data, bytes: 8 * area};
  }
}

// One layer: its frames, what its levels mean, and its picture of the frame that is shown.
class Layer {
  constructor(panel, group, colours) {
    Object.assign(this, panel);
    this.group = group.name; this.title = group.title; this.colours = colours;
    this.name = panel.label ? `${group.title} · ${panel.label}` : group.title;
    this.frame = null; this.picture = null; this.range = panel.span;
  }
  value(level) { return this.levels[0] + (level - 1) / 254 * (this.levels[1] - this.levels[0]); }
  // The values between which this frame's colours lie: 2 % and 98 % of its pixels.
  ownRange() {
    const count = new Uint32Array(256), pixels = this.frame.pixels;
    for (let k = 0; k < pixels.length; k += 4) count[pixels[k]]++;
    const known = pixels.length / 4 - count[0];
    const at = (share) => {
      let left = share * known, level = 1;
      while (level < 255 && (left -= count[level]) > 0) level++;
      return this.value(level);
    };
    const [low, high] = [at(0.02), at(0.98)];
    return known && high > low ? [low, high] : this.span;
  }
  paint(ownRange) {
    this.picture = null;
    if (!this.frame) return;
    const {canvas, pixels} = this.frame;
    if (this.kind === "picture" || this.kind === "directions") { this.picture = canvas; return; }
    if (this.kind === "values") this.range = ownRange ? this.ownRange() : this.span;
    const table = this.kind === "values" ? this.valueTable() : this.labelTable();
    const image = new ImageData(canvas.width, canvas.height), out = new Uint32Array(image.data.buffer);
    for (let k = 0; k < out.length; k++) out[k] = table[pixels[4 * k]];
    this.picture = new OffscreenCanvas(canvas.width, canvas.height);
    this.picture.getContext("2d").putImageData(image, 0, 0);
  }
  // Colours by level, as 32-bit numbers in the order of bytes of ImageData (little endian: alpha first).
  valueTable() { return this.tableOf(this.range); }
  tableOf([low, high]) {
    const table = new Uint32Array(256);
    for (let level = 1; level < 256; level++) {
      let unit = Math.max(0, Math.min(1, (this.value(level) - low) / (high - low)));
      if (this.flipped) unit = 1 - unit;
      const at = 3 * Math.round(255 * unit);
      table[level] = (255 << 24 | this.colours[at + 2] << 16 | this.colours[at + 1] << 8 | this.colours[at]) >>> 0;
    }
    return table;
  }
  labelTable() {
    const table = new Uint32Array(256);
    for (const [label, [r, g, b]] of Object.entries(this.labels))
      table[label] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
    return table;
  }
  // What the pixel at shares u, v of the picture is, in words.
  read(u, v) {
    if (!this.frame) return "";
    const {canvas} = this.frame;
    const x = Math.min(canvas.width - 1, Math.floor(u * canvas.width));
    const y = Math.min(canvas.height - 1, Math.floor(v * canvas.height));
    const [r, g, b] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
    if (this.kind === "picture") return `RGB ${r} ${g} ${b}`;
    if (this.kind === "labels") return r === 0 ? "background" : `object ${r}`;
    if (this.kind === "directions") {
      if (r + g + b === 0) return "no value";
      const vector = [r / 127.5 - 1, 1 - g / 127.5, 1 - b / 127.5], length = Math.hypot(...vector) || 1;
      return vector.map((n, axis) => `${"xyz"[axis]} ${(n / length).toFixed(2)}`).join(", "); // right, down, forward
    }
    if (r === 0) return "no value";
    const value = this.value(r), sign = r === 1 ? "≤ " : r === 255 ? "≥ " : "";
    const inverse = this.unit.startsWith("1/") && value > 0 ? ` = ${digits(1 / value)} ${this.unit.slice(2)}` : "";
    return `${sign}${digits(value)} ${this.unit}${inverse}`;
  }
}

class Player {
  constructor(root, data, clock, colours) {
    this.root = root; this.clock = clock; this.size = data.size; this.marks = data.marks || {};
    this.decoded = new Decoded();
    this.groups = data.groups;
    this.layers = data.groups.flatMap((group) => group.panels.map((panel) => new Layer(panel, group, colours)));
    this.share_ranges();
    this.shown = new Set(data.shown || data.groups.map((group) => group.name));
    this.overlay = false; this.ownRange = false; this.opacity = 0.6;
    this.base = 0; this.top = Math.min(1, this.layers.length - 1);
    this.view = {zoom: 1, x: 0, y: 0}; this.cursor = null; this.turn = 0;
    this.slices = false; this.row = 0.5; // whether a row of pixels is shown over time, and which, as a share of the height
    this.build();
    clock.follow(() => this.load());
    new ResizeObserver(() => this.draw()).observe(this.panels);
  }
  // Layers with a unit that are compared have one range, since a wrong scale would not show with one of its own each.
  share_ranges() {
    const kinds = new Map();
    for (const layer of this.layers) if (layer.kind === "values" && layer.unit) {
      const kind = `${layer.group} ${layer.unit}`; // values of different units are not laid on one range
      kinds.set(kind, [...(kinds.get(kind) || []), layer]);
    }
    for (const layers of kinds.values()) {
      if (layers.length < 2) continue;
      const middle = (end) => {
        const ends = layers.map((l) => l.span[end]).sort((a, b) => a - b);
        return (ends[Math.floor((ends.length - 1) / 2)] + ends[Math.ceil((ends.length - 1) / 2)]) / 2;
      };
      const span = [middle(0), middle(1)];
      for (const layer of layers) layer.span = layer.range = span;
    }
  }
  build() {
    const clock = make("div", {className: "bar clock"}, ...clockBar(this.clock));
    this.where = make("span", {className: "soft small where"});
    clock.append(this.where);
    const chips = make("div", {className: "group chips"});
    this.groups.forEach((group, k) => {
      const count = group.panels.length > 1 ? ` (${group.panels.length})` : "";
      const chip = make("button", {type: "button", textContent: group.short + count, title: `${group.title} [${k + 1}]`});
      chip.dataset.group = group.name;
      chip.onclick = () => this.toggle(group.name);
      chips.append(chip);
    });
    this.chips = chips;
    this.sideButton = make("button", {type: "button", className: "side", textContent: "side by side"});
    this.overButton = make("button", {type: "button", className: "over", textContent: "overlay", title: "[o]"});
    this.sideButton.onclick = () => this.setOverlay(false);
    this.overButton.onclick = () => this.setOverlay(true);
    this.rangeButton = make("button", {type: "button", className: "range", textContent: "colours of each frame",
      title: "off: one range for the whole clip; on: a range for each frame [c]"});
    this.rangeButton.onclick = () => { this.ownRange = !this.ownRange; this.label(); this.load(); };
    this.sliceButton = make("button", {type: "button", className: "slices", textContent: "a row over time",
      title: "below each map: one row of pixels in every frame, side by side; stripes are flicker [t]"});
    this.sliceButton.onclick = () => { this.slices = !this.slices; this.arrange(); };
    this.rowSlider = make("input", {type: "range", className: "row", min: 0, max: 1, step: 0.005, value: this.row});
    this.rowSlider.setAttribute("aria-label", "which row, from the top");
    this.rowSlider.oninput = () => { this.row = +this.rowSlider.value; this.draw(); this.drawSlices(); };
    this.resetButton = make("button", {type: "button", className: "reset", textContent: "whole image", title: "[0]"});
    this.resetButton.onclick = () => this.zoomTo({zoom: 1, x: 0, y: 0});
    const select = (name, key) => {
      const list = make("select", {className: name});
      list.setAttribute("aria-label", name === "base" ? "below" : "above");
      this.layers.forEach((layer, k) => list.add(new Option(layer.name, k, false, k === this[key])));
      list.onchange = () => { this[key] = +list.value; this.arrange(); };
      return list;
    };
    const slider = make("input", {type: "range", className: "opacity", min: 0, max: 1, step: 0.01, value: this.opacity});
    slider.setAttribute("aria-label", "opacity of the upper layer");
    slider.oninput = () => { this.opacity = +slider.value; this.draw(); };
    this.stack = make("div", {className: "group stack"}, select("base", "base"), "below", select("top", "top"), slider);
    const bar = make("div", {className: "bar"}, make("div", {className: "group"}, this.sideButton, this.overButton),
      chips, this.stack, this.rangeButton, this.sliceButton, this.rowSlider, this.resetButton);
    this.marked = make("div", {className: "marks"});
    this.panels = make("div", {className: "panels"});
    this.root.append(clock, bar, this.marked, this.panels);
    this.arrange();
  }
  label() {
    for (const chip of this.chips.children) chip.setAttribute("aria-pressed", this.shown.has(chip.dataset.group));
    this.sideButton.setAttribute("aria-pressed", !this.overlay);
    this.overButton.setAttribute("aria-pressed", this.overlay);
    this.rangeButton.setAttribute("aria-pressed", this.ownRange);
    this.sliceButton.setAttribute("aria-pressed", this.slices);
    this.chips.hidden = this.overlay; this.stack.hidden = !this.overlay; this.rowSlider.hidden = !this.slices;
  }
  toggle(name) {
    if (!this.shown.delete(name)) this.shown.add(name);
    this.arrange();
  }
  setOverlay(on) { this.overlay = on; this.arrange(); }
  // Show a group's layers beside the frames, as links elsewhere on the page ask.
  show(name) { this.shown.add(name); this.setOverlay(false); this.root.scrollIntoView({behavior: "smooth"}); }
  visible() {
    if (this.overlay) return [this.layers[this.base], this.layers[this.top]];
    return this.layers.filter((layer) => this.shown.has(layer.group));
  }
  arrange() {
    this.label();
    this.panels.classList.toggle("one", this.overlay);
    const stacks = this.overlay ? [this.visible()] : this.visible().map((layer) => [layer]);
    this.figures = stacks.map((layers) => {
      const canvas = make("canvas", {className: "view"});
      canvas.style.aspectRatio = `${this.size[0]} / ${this.size[1]}`;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", layers.map((l) => l.name).join(" below "));
      this.listen(canvas);
      const reads = layers.map(() => make("span", {className: "read"}));
      const captions = layers.map((layer, k) => make("figcaption", {}, make("span", {textContent: layer.name}), reads[k]));
      const scales = layers.map((layer) => this.scale(layer));
      const parts = layers.flatMap((_, k) => [captions[k], scales[k].element]);
      const slice = this.slices && layers.find((layer) => layer.kind === "values");
      const strip = slice && make("canvas", {className: "slice", title: "time to the right, the row's pixels downwards"});
      this.panels.append(make("figure", {}, canvas, ...parts, ...(strip ? [strip] : [])));
      return {layers, canvas, reads, scales, slice, strip};
    });
    while (this.panels.children.length > this.figures.length) this.panels.firstChild.remove();
    this.load();
    this.drawSlices();
  }
  // A row of a layer in every frame, a column a frame, in the layer's colours over the whole clip.
  async drawSlices() {
    const turn = this.sliceTurn = {};
    for (const {slice, strip} of this.figures.filter((figure) => figure.strip)) {
      const columns = [];
      for (const address of slice.frames) columns.push(address ? await this.decoded.get(address, true) : null);
      if (this.sliceTurn !== turn) return; // another row was asked for meanwhile
      const some = columns.find((frame) => frame);
      if (!some) continue;
      const tall = some.canvas.width, image = new ImageData(columns.length, tall);
      const out = new Uint32Array(image.data.buffer), table = slice.tableOf(slice.span);
      columns.forEach((frame, k) => {
        if (!frame) return;
        const y = Math.min(frame.canvas.height - 1, Math.floor(this.row * frame.canvas.height));
        for (let x = 0; x < tall; x++) out[x * columns.length + k] = table[frame.pixels[4 * (y * tall + x)]];
      });
      strip.width = columns.length; strip.height = tall;
      strip.getContext("2d").putImageData(image, 0, 0);
    }
    this.sliced = this.row;
  }
  // The bar of colours under a layer, or its objects' colours.
  scale(layer) {
    if (layer.kind === "labels") {
      const swatches = Object.entries(layer.labels).slice(0, 12).map(([label, rgb]) => {
        const square = make("i");
        square.style.background = `rgb(${rgb})`;
        return make("span", {}, square, `object ${label}`);
      });
      return {element: make("div", {className: "swatches"}, ...swatches), update() {}};
    }
    if (layer.kind !== "values") return {element: make("div"), update() {}};
    const low = make("span"), high = make("span"), strip = make("canvas", {width: 256, height: 1});
    const image = new ImageData(256, 1);
    for (let k = 0; k < 256; k++) {
      const at = 3 * (layer.flipped ? 255 - k : k);
      image.data.set([...layer.colours.slice(at, at + 3), 255], 4 * k);
    }
    strip.getContext("2d").putImageData(image, 0, 0);
    return {
      element: make("div", {className: "scale"}, low, strip, high),
      update() { low.textContent = digits(layer.range[0]); high.textContent = `${digits(layer.range[1])} ${layer.unit}`; },
    };
  }
  async load() {
    const turn = ++this.turn, at = this.clock.at, needed = new Set(this.figures.flatMap((figure) => figure.layers));
    const frames = this.layers.find((layer) => layer.group === "images");
    if (frames) needed.add(frames); // below masks
    const decoded = await Promise.all([...needed].map(async (layer) => {
      const address = layer.frames[at], wantsPixels = layer.kind === "values" || layer.kind === "labels";
      return [layer, address ? await this.decoded.get(address, wantsPixels) : null];
    }));
    if (turn !== this.turn) return; // another frame was asked for meanwhile
    for (const [layer, frame] of decoded) { layer.frame = frame; layer.paint(this.ownRange); }
    this.draw();
    this.drawn = at;
  }
  draw() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    for (const figure of this.figures) {
      const {canvas, layers} = figure;
      const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
      const height = Math.max(1, Math.round(width * this.size[1] / this.size[0]));
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      const pen = canvas.getContext("2d");
      pen.clearRect(0, 0, width, height);
      layers.forEach((layer, k) => {
        const frames = this.layers.find((l) => l.group === "images");
        const tinted = layer.kind === "labels" && k === 0 && frames;
        if (tinted) this.put(pen, frames, 1);
        this.put(pen, layer, tinted ? 0.55 : k ? this.opacity : 1);
      });
      if (this.cursor) this.cross(pen, width, height);
      if (figure.strip) this.mark(pen, width, height);
      figure.scales.forEach((scale) => scale.update());
    }
    this.tell();
    this.resetButton.disabled = this.view.zoom === 1;
    this.panels.classList.toggle("zoomed", this.view.zoom > 1);
  }
  put(pen, layer, alpha) {
    const picture = layer.picture, {zoom, x, y} = this.view, {width, height} = pen.canvas;
    if (!picture) return;
    pen.globalAlpha = alpha;
    pen.imageSmoothingEnabled = layer.kind !== "labels" && zoom * width < 3 * picture.width;
    pen.drawImage(picture, x * picture.width, y * picture.height, picture.width / zoom, picture.height / zoom, 0, 0, width, height);
    pen.globalAlpha = 1;
  }
  // Where the row is that is shown over time.
  mark(pen, width, height) {
    const y = (this.row - this.view.y) * this.view.zoom * height;
    pen.strokeStyle = "#fff"; pen.lineWidth = 1; pen.setLineDash([6, 4]);
    pen.beginPath(); pen.moveTo(0, y); pen.lineTo(width, y); pen.stroke();
    pen.setLineDash([]);
  }
  cross(pen, width, height) {
    const {zoom, x, y} = this.view;
    const at = [(this.cursor[0] - x) * zoom * width, (this.cursor[1] - y) * zoom * height];
    for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) {
      pen.strokeStyle = colour; pen.lineWidth = wide; pen.beginPath();
      pen.moveTo(at[0] - 8, at[1]); pen.lineTo(at[0] + 8, at[1]); pen.moveTo(at[0], at[1] - 8); pen.lineTo(at[0], at[1] + 8);
      pen.stroke();
    }
  }
  tell() {
    const marks = this.marks[this.clock.stems[this.clock.at]] || [];
    this.marked.textContent = marks.length ? `not good here: ${marks.join("; ")}` : "";
    for (const figure of this.figures) figure.layers.forEach((layer, k) => {
      figure.reads[k].textContent = !layer.frame ? "nothing at this frame" : this.cursor ? layer.read(...this.cursor) : "";
    });
    this.where.textContent = this.cursor
      ? `pixel ${this.cursor.map((share, k) => Math.min(this.size[k] - 1, Math.floor(share * this.size[k]))).join(", ")}` : "";
  }
  zoomTo({zoom, x, y}) {
    zoom = Math.max(1, Math.min(64, zoom));
    const most = 1 - 1 / zoom;
    this.view = {zoom, x: Math.max(0, Math.min(most, x)), y: Math.max(0, Math.min(most, y))};
    this.draw();
  }
  // Zoom by a factor about a point of the image, which stays where it is seen.
  zoomBy(factor, u = 0.5 / this.view.zoom + this.view.x, v = 0.5 / this.view.zoom + this.view.y) {
    const zoom = Math.max(1, Math.min(64, this.view.zoom * factor)), part = this.view.zoom / zoom;
    this.zoomTo({zoom, x: u - (u - this.view.x) * part, y: v - (v - this.view.y) * part});
  }
  listen(canvas) {
    const place = (event) => {
      const box = canvas.getBoundingClientRect(), {zoom, x, y} = this.view;
      return [x + (event.clientX - box.left) / box.width / zoom, y + (event.clientY - box.top) / box.height / zoom];
    };
    const fingers = new Map();
    canvas.onpointerdown = (event) => { fingers.set(event.pointerId, event); canvas.setPointerCapture(event.pointerId); };
    canvas.onpointerup = canvas.onpointercancel = (event) => fingers.delete(event.pointerId);
    canvas.onpointermove = (event) => {
      const before = fingers.get(event.pointerId), box = canvas.getBoundingClientRect();
      if (before && fingers.size === 1) {
        const {zoom, x, y} = this.view;
        this.zoomTo({zoom, x: x - (event.clientX - before.clientX) / box.width / zoom,
          y: y - (event.clientY - before.clientY) / box.height / zoom});
      } else if (before) { // two fingers
        const [other] = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
        const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        this.zoomBy(apart(event) / Math.max(1, apart(before)), ...place(event));
      }
      if (before) fingers.set(event.pointerId, event);
      const at = place(event);
      this.cursor = at.every((share) => share >= 0 && share < 1) ? at : null;
      this.draw();
    };
    canvas.onpointerleave = () => { this.cursor = null; this.draw(); };
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && this.view.zoom === 1) return; // the page scrolls
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300), ...place(event));
    }, {passive: false});
    canvas.ondblclick = (event) => this.zoomBy(2, ...place(event));
  }
  // What a key does; true where it did something.
  key(key) {
    const group = this.groups[+key - 1];
    const acts = {
      " ": () => this.clock.play(!this.clock.plays), ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      Home: () => this.clock.to(0), End: () => this.clock.to(Infinity), o: () => this.setOverlay(!this.overlay),
      c: () => this.rangeButton.click(), t: () => this.sliceButton.click(), "+": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5),
      0: () => this.zoomTo({zoom: 1, x: 0, y: 0}),
    };
    if (group && !this.overlay) this.toggle(group.name);
    else if (acts[key]) acts[key]();
    else return false;
    return true;
  }
  step(by) { this.clock.play(false); this.clock.to(this.clock.at + by); }
}

// Charts over frames; a click shows the frame.
"use strict";
const LINES = ["#2a7de1", "#d9541e", "#1f9d61", "#8d5fd3", "#c2308a", "#8a7a1f", "#1a9aa8", "#77808c"];
const WIDE = 320, TALL = 110, LEFT = 54, BOTTOM = 16, TOP = 8, RIGHT = 6;

function drawCurves(root, charts, clock) {
  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  for (const chart of charts) {
    const lines = Object.entries(chart.lines), count = chart.count;
    let [low, high] = chart.share ? [0, 1] : [Infinity, -Infinity];
    for (const [, values] of chart.share ? [] : lines)
      for (const value of values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    if (!(high - low > 1e-6 * Math.abs(high))) { low -= 0.05 * Math.abs(low) || 0.5; high += 0.05 * Math.abs(high) || 0.5; }
    const x = (k) => LEFT + (WIDE - LEFT - RIGHT) * (count > 1 ? k / (count - 1) : 0.5);
    const y = (value) => TALL - BOTTOM - (TALL - BOTTOM - TOP) * (value - low) / (high - low);
    const picture = svg("svg", {viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": chart.title});
    for (const value of [low, high]) {
      picture.append(svg("line", {x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value), stroke: "var(--line)"}));
      const text = svg("text", {x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end"});
      text.textContent = digits(value);
      picture.append(text);
    }
    for (const [k, anchor] of [[0, "start"], [count - 1, "end"]]) {
      const text = svg("text", {x: x(k), y: TALL - 4, "text-anchor": anchor});
      text.textContent = k;
      picture.append(text);
    }
    lines.forEach(([, values], n) => {
      // frames without a value are passed over; dots show where values are, if they are few
      let path = "", begun = false;
      const few = values.filter((value) => value !== null).length <= 60;
      values.forEach((value, k) => {
        if (value === null) return;
        path += `${begun ? "L" : "M"}${x(k).toFixed(1)} ${y(value).toFixed(1)}`;
        begun = true;
        if (few && values.some((other) => other === null) || count === 1)
          picture.append(svg("circle", {cx: x(k), cy: y(value), r: 2.2, fill: LINES[n % LINES.length]}));
      });
      picture.append(svg("path", {d: path, fill: "none", stroke: LINES[n % LINES.length], "stroke-width": 1.6}));
    });
    for (const k of chart.marked) {
      const value = lines[0][1][k], cx = x(k), cy = y(value === null ? low : value);
      picture.append(svg("path", {d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6`, stroke: "var(--bad)", "stroke-width": 1.5}));
    }
    const hand = svg("line", {y1: TOP, y2: TALL - BOTTOM, stroke: "var(--ink)", "stroke-width": 1});
    picture.append(hand);
    const read = make("span", {className: "soft"});
    clock.follow(() => {
      const number = Math.min(count - 1, clock.number);
      hand.setAttribute("x1", x(number)); hand.setAttribute("x2", x(number));
      const said = lines.map(([label, values]) => {
        const value = values[number];
        const text = value === null ? "none" : digits(value);
        return lines.length > 1 ? `${label} ${text}` : text;
      });
      read.replaceChildren(...said.flatMap((text, n) => {
        const part = make("span", {textContent: text});
        if (lines.length > 1) part.style.color = LINES[n % LINES.length];
        return n ? [" · ", part] : [part];
      }), ` ${chart.unit}`);
    });
    picture.onclick = (event) => {
      const box = picture.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * WIDE;
      clock.play(false);
      clock.toNumber(Math.round((at - LEFT) / (WIDE - LEFT - RIGHT) * (count - 1)));
    };
    const marks = chart.marked.length ? make("span", {className: "poor", textContent: `✕ ${chart.marks}`}) : "";
    root.append(make("figure", {}, make("figcaption", {}, make("span", {textContent: chart.title}), marks, read), picture));
  }
}

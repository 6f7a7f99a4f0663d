// The frame that is shown, which the player, the curves and the view in 3D share.
"use strict";
class Clock {
  constructor(stems, rate) {
    this.stems = stems; this.numbers = stems.map(Number); this.rate = rate;
    this.at = 0; this.plays = false; this.followers = [];
  }
  get number() { return this.numbers[this.at]; }
  follow(follower) { this.followers.push(follower); }
  // Followers may return a promise, which is kept when they have shown the frame.
  tell() { return Promise.all(this.followers.map((follower) => follower(this))); }
  to(at) {
    this.at = Math.max(0, Math.min(this.stems.length - 1, at));
    return this.tell();
  }
  // the shown frame that is nearest to a frame's number
  toNumber(number) {
    let best = 0;
    this.numbers.forEach((n, k) => { if (Math.abs(n - number) < Math.abs(this.numbers[best] - number)) best = k; });
    this.to(best);
  }
  play(on) {
    if (on === this.plays) return;
    this.plays = on;
    this.tell();
    if (on) this.run();
  }
  // A frame follows when the one before was shown, so that a slow machine plays slowly and shows every frame.
  async run() {
    const turn = this.turn = {};
    while (this.plays && this.turn === turn) {
      const pause = new Promise((done) => setTimeout(done, 1000 / this.rate));
      await Promise.all([pause, this.to((this.at + 1) % this.stems.length)]);
    }
  }
}

// A play button, a slider and the frame's name, all bound to a clock.
function clockBar(clock) {
  const play = make("button", {type: "button", className: "play"});
  const slider = make("input", {type: "range", min: 0, max: clock.stems.length - 1, value: 0});
  slider.setAttribute("aria-label", "frame");
  const at = make("span", {className: "at soft"});
  play.onclick = () => clock.play(!clock.plays);
  slider.oninput = () => { clock.play(false); clock.to(+slider.value); };
  clock.follow(() => {
    slider.value = clock.at;
    play.textContent = clock.plays ? "pause" : "play";
    at.textContent = `frame ${clock.stems[clock.at]}`;
  });
  return [play, slider, at];
}

function make(name, properties = {}, ...inside) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...inside);
  return element;
}

function bytesOf(text) { return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)); }

// Three significant digits, without an exponent where that is short.
function digits(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1);
  return String(+value.toPrecision(3));
}

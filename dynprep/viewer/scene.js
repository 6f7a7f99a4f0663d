// Puts the parts of each scene of a page together.
"use strict";
window.dynprep = {scenes: []};
{
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const colours = document.getElementById("colours") ? bytesOf(read("colours")) : null;
  for (const root of document.querySelectorAll("[data-scene]")) {
    const id = root.dataset.scene, part = (name) => root.querySelector(`.${name}`);
    const data = read(`${id}-player`), clock = new Clock(data.stems, data.rate);
    const scene = {clock, player: null, space: null};
    if (part("charts")) drawCurves(part("charts"), read(`${id}-charts`), clock);
    if (part("space")) scene.space = new Space(part("space"), read(`${id}-space`), clock);
    scene.player = new Player(part("player"), data, clock, colours);
    window.dynprep.scenes.push(scene);
    root.addEventListener("pointerdown", () => { window.dynprep.active = scene; });
    for (const button of root.querySelectorAll("[data-stem]"))
      button.onclick = () => {
        clock.play(false);
        clock.toNumber(Number(button.dataset.stem));
        scene.player.show(button.dataset.group);
      };
    clock.tell();
  }
  window.dynprep.active = window.dynprep.scenes[0];
  document.addEventListener("keydown", (event) => {
    const typed = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "range";
    const own = event.target.tagName === "BUTTON" && event.key === " " || event.target.type === "range" && event.key.startsWith("Arrow");
    if (typed || own || event.ctrlKey || event.metaKey || event.altKey || !window.dynprep.active) return;
    if (window.dynprep.active.player.key(event.key)) event.preventDefault();
  });
}
for (const button of document.querySelectorAll("[data-copy]"))
  button.onclick = async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "copied";
  };

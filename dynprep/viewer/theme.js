// Light or dark: as the system is, until the button says otherwise.
"use strict";
(() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("dynprep-theme"); } catch (refused) { chosen = null; } // no storage for files
  const show = () => { root.dataset.theme = chosen || (system.matches ? "dark" : "light"); };
  system.addEventListener("change", show);
  show();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (button) button.onclick = () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("dynprep-theme", chosen); } catch (refused) { /* the choice lasts as long as the page */ }
      show();
    };
  });
})();

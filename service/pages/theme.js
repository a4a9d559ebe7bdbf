// Runs before the page is painted, so that whoever chose a theme never sees the other one flash.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("tenfold-theme");
  } catch {
    // A browser that forbids storage gets the theme of its system.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();

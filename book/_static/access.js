// What the theme leaves out for those who listen to a page. Every script in _static reaches every page by itself.
addEventListener("load", () => {
  // A name that differs from the words on a button cannot be spoken to it: these words are the name.
  for (const named of document.querySelectorAll(".search-button-field, details.hide > summary"))
    named.removeAttribute("aria-label");
  // The icons that say which theme is on are pictures on a button that has its name. They are drawn a little later.
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    const quiet = () => {
      for (const title of button.querySelectorAll("title")) title.remove();
      for (const icon of button.querySelectorAll("svg[role]")) icon.removeAttribute("role");
    };
    new MutationObserver(quiet).observe(button, { childList: true, subtree: true });
    quiet();
  }
  // The title of the book stands above the menu: the way home belongs to a landmark of navigation.
  const home = document.querySelector(".navbar-brand.logo")?.parentElement;
  home?.setAttribute("role", "navigation");
  home?.setAttribute("aria-label", "Book");
  // The corner above an index heads nothing; docutils' role of a reference is deprecated.
  for (const corner of document.querySelectorAll(".bd-article th"))
    if (!corner.textContent.trim()) corner.setAttribute("role", "cell");
  for (const entry of document.querySelectorAll("[role=doc-biblioentry]")) entry.setAttribute("role", "listitem");
  // What scrolls can be scrolled by keyboard.
  for (const box of document.querySelectorAll(".bd-article :is(pre, .cell_output table, .pst-scrollable-table-container, .cell_output figure)"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
});

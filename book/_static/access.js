// What the theme leaves out for those who listen to a page. Every script in _static reaches every page by itself.
document.addEventListener("DOMContentLoaded", () => {
  // A name that differs from the words on a button cannot be spoken to it: these words are the name.
  document.querySelector(".search-button-field")?.removeAttribute("aria-label");
  for (const icon of document.querySelectorAll(".theme-switch-button [title]")) icon.removeAttribute("title");
  // The title of the book stands above the menu: the way home belongs to the landmark of navigation.
  const logo = document.querySelector(".navbar-brand.logo")?.parentElement;
  logo?.setAttribute("role", "navigation");
  logo?.setAttribute("aria-label", "Book");
  // Boxes that scroll can be scrolled by keyboard.
  for (const box of document.querySelectorAll(".bd-article pre, .bd-article .cell_output table, .bd-article .pst-scrollable-table-container"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
});

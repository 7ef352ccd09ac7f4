// Pages in frames (class "touch") are as high as what they show, and as dark as the book. Frames of files may not be
// looked into: they are told, and tell, by messages.
addEventListener("DOMContentLoaded", () => {
  const frames = [...document.querySelectorAll("figure.touch iframe")];
  if (!frames.length) return;
  const theme = () => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");
  const tell = (frame) => frame.contentWindow?.postMessage({ astraclr: "theme", theme: theme() }, "*");
  addEventListener("message", (e) => {
    const frame = frames.find((f) => f.contentWindow === e.source);
    if (!frame) return;
    if (e.data?.astraclr === "hello") tell(frame);
    if (e.data?.astraclr === "height" && e.data.height > 0) frame.style.height = `${Math.min(4000, e.data.height + 4)}px`;
  });
  for (const frame of frames) {
    frame.addEventListener("load", () => tell(frame));
    tell(frame);
  }
  new MutationObserver(() => frames.forEach(tell)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
});

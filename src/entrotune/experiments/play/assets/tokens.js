// Tokens are pressed by pointer or keyboard: one of them is in the tab order, arrows move among them.
const all = () => [...element.querySelectorAll(".tok[data-at]")];
const focus = (token) => {
  if (!token) return;
  all().forEach((one) => one.setAttribute("tabindex", one === token ? "0" : "-1"));
  token.focus();
};
// Responses that are being written are drawn anew several times a second, without what was pressed meanwhile.
let pressed = null, presses = 0;
const run = () => element.querySelector("[data-run]")?.dataset.run;
const mark = (token) => all().forEach((one) => one.setAttribute("aria-pressed", one === token ? "true" : "false"));
new MutationObserver(() => {
  if (!pressed || pressed.run !== run()) return;
  const token = element.querySelector(`.tok[data-row="${pressed.row}"][data-at="${pressed.at}"]`);
  if (token?.getAttribute("aria-pressed") === "false") mark(token);
}).observe(element, { childList: true, subtree: true, attributeFilter: ["aria-pressed"] });
const press = (token) => {
  mark(token);
  pressed = run() && { run: run(), row: token.dataset.row, at: token.dataset.at };
  // On a phone the distribution is screens below.
  if (matchMedia("(max-width: 640px)").matches) {
    const tokens = element.closest("[id$='-tokens']");
    document.getElementById(tokens?.id.replace("-tokens", "-panel"))?.scrollIntoView({
      behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    });
  }
  // Two presses in short order may arrive the other way round.
  trigger("press", { row: Number(token.dataset.row), at: Number(token.dataset.at), number: ++presses });
};
element.addEventListener("click", (event) => {
  const token = event.target.closest(".tok[data-at]");
  if (token) { focus(token); press(token); }
});
element.addEventListener("keydown", (event) => {
  const token = event.target.closest(".tok[data-at]");
  if (!token || event.ctrlKey || event.altKey || event.metaKey) return;
  const tokens = all(), place = tokens.indexOf(token);
  const to = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: tokens.length - 1 }[event.key];
  if (to !== undefined) { event.preventDefault(); focus(tokens[Math.max(0, Math.min(tokens.length - 1, to))]); }
  else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(token); }
});

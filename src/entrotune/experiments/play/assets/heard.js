// What is heard by those who do not see the page: the answer to a press, and when what is written begins and ends.
const heard = element.querySelector("[role=status]");
const words = (one) => [...one.querySelectorAll("dt, dd")].map((part) => part.textContent).join(" ");
const opened = (panel) => [...panel.querySelectorAll(".place")].map(
  (place) => [place.textContent, ...[...panel.querySelectorAll(".facts div")].slice(0, 1).map(words)].join(", "),
)[0];
const written = (box) => {
  const states = [...box.querySelectorAll(".sample header span")].map((one) => one.textContent);
  if (!states.length) return undefined;
  if (states.some((one) => one.endsWith(" …"))) return "writing …";
  const ended = [["stopped", ", stopped"], ["broken off", ", broken off"], ["complete", ", ended by"]]
    .map(([name, mark]) => [states.filter((one) => one.includes(mark)).length, name]).filter(([count]) => count);
  return `responses: ${ended.map((one) => one.join(" ")).join(", ")}`;
};
const told = {};
let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    document.querySelectorAll("[id$='-panel'], #write-tokens, #both-samples").forEach((one) => {
      const now = one.id.endsWith("-panel") ? opened(one) : written(one);
      if (now && now !== told[one.id]) heard.textContent = told[one.id] = now;
    });
  }, 200);
}).observe(document.body, { childList: true, subtree: true, characterData: true });

// Chromium lets Tab stop at a list that scrolls; a dropdown's closes when it is left for that, and takes the focus along.
document.addEventListener("keydown", (event) => {
  const dropdown = event.key === "Tab" && event.target.closest?.("[role=combobox]")?.closest(".block");
  if (dropdown) dropdown.querySelectorAll(".options, [role=listbox]").forEach((list) => { list.tabIndex = -1; });
}, true);

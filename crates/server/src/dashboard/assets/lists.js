// Comfort in lists: choices filter at once, one box ticks all, and what is secret can be copied.
{
  // Only what is chosen with the pointer: each step of the arrow keys through the choices would leave the page.
  for (const form of document.querySelectorAll("form.filters")) {
    let byKeys = false;
    form.addEventListener("keydown", () => { byKeys = true; });
    form.addEventListener("pointerdown", () => { byKeys = false; });
    form.addEventListener("change", (event) => { if (event.target.tagName === "SELECT" && !byKeys) form.requestSubmit(); });
  }

  for (const all of document.querySelectorAll("input[data-all]")) {
    const boxes = () => document.querySelectorAll(`input[name="${all.dataset.all}"]`);
    all.hidden = false;
    all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; });
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    });
  }
}

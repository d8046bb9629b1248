// What runs out: an element with `data-until` (milliseconds since 1970) says how many seconds are left, in the words of
// `data-words`.
{
  const tick = () => {
    for (const place of document.querySelectorAll("[data-until]")) {
      const left = Math.ceil((Number(place.dataset.until) - Date.now()) / 1000);
      place.textContent = left > 0 ? place.dataset.words.replace("{s}", left) : "";
    }
  };
  tick();
  setInterval(tick, 1000);
  document.addEventListener("filled", tick);
}

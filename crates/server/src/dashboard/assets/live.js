// Live parts: the element is filled with what the stream at `data-live` sends. Where no stream comes through, the part is
// taken from the page itself from time to time.
{
  const FALLBACK = 10_000;

  const fill = (part, html) => {
    const made = new DOMParser().parseFromString(html, "text/html");
    part.replaceChildren(...document.adoptNode(made.body).childNodes);
    part.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
  };

  const fetchPart = async (part) => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = part.id && page.getElementById(part.id);
    if (fresh) part.replaceChildren(...document.adoptNode(fresh).childNodes);
  };

  for (const part of document.querySelectorAll("[data-live]")) {
    let timer;
    let stream;
    const open = () => {
      stream = new EventSource(part.dataset.live);
      stream.addEventListener("part", (event) => {
        clearInterval(timer);
        timer = undefined;
        fill(part, event.data);
      });
      stream.addEventListener("error", () => {
        timer ??= setInterval(() => {
          fetchPart(part).catch(() => {});
          if (stream.readyState === EventSource.CLOSED) open();
        }, FALLBACK);
      });
    };
    open();
    addEventListener("pagehide", () => { stream.close(); clearInterval(timer); });
    addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  }
}

// Live parts: the element is filled with what the stream at `data-live` sends. Where no stream comes through, and where the
// element has `data-again` instead, the part is taken from the page itself from time to time. What somebody does in it goes
// on: what is opened stays open, what is entered stays, and so does the focus.
{
  const FALLBACK = 10_000;

  // What tells an element from its neighbours, before and after it is made anew.
  const known = (element) => element.id || element.getAttribute("href") || element.closest("form")?.getAttribute("action") || element.textContent;
  const alike = (part, element) => [...part.querySelectorAll(element.tagName)].find((other) => known(other) === known(element));

  const put = (part, nodes) => {
    const focused = part.contains(document.activeElement) ? document.activeElement : undefined;
    const opened = [...part.querySelectorAll("details[open] > summary")];
    const entered = [...part.querySelectorAll("input[id]:not([type=file]), textarea[id]")].filter((field) => field.value !== field.defaultValue);
    part.replaceChildren(...nodes);
    for (const summary of opened) alike(part, summary)?.parentElement.setAttribute("open", "");
    for (const old of entered) {
      const field = document.getElementById(old.id);
      if (field && part.contains(field)) field.value = old.value;
    }
    if (focused) alike(part, focused)?.focus({ preventScroll: true });
    part.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
  };

  const fill = (part, html) => put(part, document.adoptNode(new DOMParser().parseFromString(html, "text/html").body).childNodes);

  const fetchPart = async (part) => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    // The login has ended: what is still shown is not for whoever comes by.
    if (answer.redirected && new URL(answer.url).pathname === "/admin/login/") return location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = part.id && page.getElementById(part.id);
    if (fresh && fresh.innerHTML !== part.innerHTML) put(part, document.adoptNode(fresh).childNodes);
  };

  for (const part of document.querySelectorAll("[data-live]")) {
    let timer;
    let stream;
    const close = () => {
      stream.close();
      clearInterval(timer);
      timer = undefined;
    };
    const ask = () => {
      fetchPart(part).catch(() => {});
      if (stream.readyState === EventSource.CLOSED) open();
    };
    const open = () => {
      stream = new EventSource(part.dataset.live);
      // Until something comes through: a proxy that holds it back makes no error.
      timer ??= setInterval(ask, FALLBACK);
      stream.addEventListener("part", (event) => {
        clearInterval(timer);
        timer = undefined;
        fill(part, event.data);
      });
      stream.addEventListener("error", () => { timer ??= setInterval(ask, FALLBACK); });
    };
    open();
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  }

  // Lists: a stream for each would use up the connections of a browser with many tabs. Nobody sees a hidden one change, and
  // what somebody is about to copy is not taken away.
  const isChosen = (part) => !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
  for (const part of document.querySelectorAll("[data-again]")) {
    setInterval(() => { if (!document.hidden && !isChosen(part)) fetchPart(part).catch(() => {}); }, FALLBACK);
  }
}

// The virtual phones: one stream fills every place whose id it names, and forms are sent without leaving the page, so that
// what is being written on another phone stays.
{
  const page = document.querySelector("[data-screens]");

  // Forms write to the chat that is open, unless somebody chose another or is writing already.
  const address = (place) => {
    const to = place.querySelector("[data-to]")?.dataset.to;
    if (!to) return;
    for (const field of place.closest(".phone").querySelectorAll('input[name="to"]')) {
      const begun = [...field.form.querySelectorAll("[data-clear], [name='reply_to']")].some((other) => other.value);
      if (begun || field.value !== field.defaultValue || field === document.activeElement) continue;
      field.defaultValue = to;
      field.value = to;
    }
  };

  const fill = (from) => {
    for (const fresh of from.querySelectorAll("[data-place]")) {
      const place = document.getElementById(fresh.id);
      if (!place || place.innerHTML === fresh.innerHTML) continue;
      const scroll = place.querySelector(".talk");
      const atEnd = !scroll || scroll.scrollTop + scroll.clientHeight >= scroll.scrollHeight - 40;
      const above = scroll?.scrollTop;
      place.replaceChildren(...document.adoptNode(fresh).childNodes);
      const talk = place.querySelector(".talk");
      if (talk) talk.scrollTop = atEnd ? talk.scrollHeight : above;
      address(place);
    }
  };

  const tell = (flash) => {
    document.querySelector("main > .flash")?.remove();
    if (flash) document.querySelector("main").prepend(document.adoptNode(flash));
  };

  const send = async (form, button) => {
    const data = new FormData(form, button);
    const body = form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
    const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" } });
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!made.querySelector("[data-screens]")) throw new Error(answer.statusText);
    const flash = made.querySelector("main > .flash");
    if (!flash?.classList.contains("bad")) for (const field of form.querySelectorAll("[data-clear]")) field.value = "";
    tell(flash);
    fill(made);
  };

  if (page) {
    for (const talk of document.querySelectorAll(".talk")) talk.scrollTop = talk.scrollHeight;
    page.addEventListener("submit", (event) => {
      const form = event.target;
      if (!form.matches("form[data-quiet]")) return;
      event.preventDefault();
      event.stopPropagation();
      if (form.dataset.busy) return;
      form.dataset.busy = "yes";
      send(form, event.submitter).catch(() => { location.reload(); }).finally(() => { delete form.dataset.busy; });
    });
    // A text is sent by Enter; Shift and Enter begin a new line.
    page.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches("textarea[data-clear]")) return;
      event.preventDefault();
      event.target.form.requestSubmit();
    });
    const stream = new EventSource(page.dataset.screens);
    stream.addEventListener("part", (event) => fill(new DOMParser().parseFromString(event.data, "text/html")));
    addEventListener("pagehide", () => stream.close());
  }
}

// A form with `data-preview` shows what the server makes of it, a moment after each change: the place is named by `data-place`.
{
  for (const form of document.querySelectorAll("form[data-preview]")) {
    const place = document.getElementById(form.dataset.place);
    let timer;
    let turn = 0;
    const show = async () => {
      const mine = ++turn;
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.dataset.preview, { method: "POST", body, headers: { accept: "text/html" } });
      // A slow answer must not undo a newer one.
      if (mine !== turn || !answer.ok) return;
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.replaceChildren(...document.adoptNode(made.body).childNodes);
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => show().catch(() => {}), 200);
    });
  }
}

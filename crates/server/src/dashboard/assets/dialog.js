// Questions before something that can't be undone: the page that a link with `data-confirm` leads to, in a dialog. If
// anything is not as expected, the link is followed as usual.
{
  const dialog = document.querySelector("dialog.ask");

  const ask = async (link) => {
    const answer = await fetch(link.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const form = page.querySelector("form.confirm");
    if (!form) throw new Error("no question");
    dialog.replaceChildren(document.adoptNode(form));
    dialog.showModal();
    dialog.querySelector("[data-close]")?.focus();
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-confirm]");
    if (link && dialog && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      ask(link).catch(() => { location.href = link.href; });
    } else if (dialog?.open && (event.target === dialog || event.target.closest("[data-close]"))) {
      event.preventDefault();
      dialog.close();
    }
  });

  // A button that was pressed twice does its work once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) return event.preventDefault();
    if (form.method === "post") form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}

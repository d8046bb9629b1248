// Importing a file: the form is sent beside the page, so that the file stays chosen between looking at it and taking it in,
// and the page shows how much of it was sent. If anything is not as expected, the form is sent as usual.
{
  const form = document.querySelector("form[data-import]");
  const bar = form?.querySelector("[data-import-progress]");

  const take = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const part of ["[data-import-columns]", "[data-import-result]"]) {
      const [old, fresh] = [document.querySelector(part), page.querySelector(part)];
      if (!old || !fresh) throw new Error("no answer");
      old.replaceWith(document.adoptNode(fresh));
    }
    form.elements.dry_run.checked = page.querySelector("form[data-import]").elements.dry_run.checked;
    document.querySelector("[data-import-result]").scrollIntoView({ block: "nearest" });
  };

  form?.addEventListener("submit", (event) => {
    if (!form.elements.file.files.length) return;
    event.preventDefault();
    const request = new XMLHttpRequest();
    const ready = () => {
      bar.hidden = true;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
    };
    request.upload.addEventListener("progress", (sent) => { if (sent.lengthComputable) bar.value = (sent.loaded * 100) / sent.total; });
    request.addEventListener("load", () => { ready(); try { take(request.responseText); } catch { form.submit(); } });
    request.addEventListener("error", () => { ready(); form.submit(); });
    request.open("POST", form.action);
    request.send(new FormData(form));
    bar.hidden = false;
  });
}

// Makes passkeys and signs in by them. The forms say which address has the options, and carry the answer back.
const forms = "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential
  ? document.querySelectorAll("form[data-passkey]") : [];

async function useKey(form) {
  const given = new FormData(form);
  const answer = await fetch(form.dataset.passkey, {
    method: "POST",
    headers: { "X-Form-Token": given.get("form_token"), "Accept": "application/json" },
    body: new URLSearchParams({ current_password: given.get("current_password") ?? "" }),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail);
  const credential = form.dataset.makes
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(found) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(found) });
  form.elements.credential.value = JSON.stringify(credential.toJSON());
  if (form.elements.current_password) form.elements.current_password.value = "";
  form.submit();
}

for (const form of forms) {
  let isBusy = false;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    const problem = form.querySelector("[data-problem]");
    problem.replaceChildren();
    problem.removeAttribute("role");
    useKey(form).catch((error) => {
      isBusy = false;
      // A reader of the screen says what appears in an alert.
      problem.setAttribute("role", "alert");
      // What a browser says is not in the person's language.
      problem.textContent = error instanceof DOMException ? form.dataset.failed : error.message;
    });
  });
}

// Finds the form's proof of work while it is filled in: with it, a report passes the limit of this connection.
const form = document.querySelector("#report");
const bits = Number(form.dataset.proofBits);
const encoder = new TextEncoder();

async function fits(number) {
  const text = encoder.encode(`simpul-report ${form.elements.report_id.value} ${number}`);
  const digest = new DataView(await crypto.subtle.digest("SHA-256", text));
  return digest.getUint32(0) >>> (32 - bits) === 0;
}

async function prove() {
  for (let number = 0; ; number += 1) {
    if (await fits(number)) {
      form.elements.proof.value = String(number);
      return;
    }
    // Typing must stay smooth.
    if (number % 250 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
}

// Browsers offer it on https only, and a report needs no proof.
if (window.crypto?.subtle) prove();

// Starts the components of the pages. Every page also works without this script.
import { createAll, Button, ErrorSummary, PasswordInput, ServiceNavigation } from "./govuk-frontend.min.js";

const root = document.documentElement;
document.body.classList.add("js-enabled", "govuk-frontend-supported");
createAll(Button, { preventDoubleClick: true });
createAll(ErrorSummary);
createAll(ServiceNavigation);
createAll(PasswordInput, {
  i18n: {
    showPassword: root.dataset.show,
    hidePassword: root.dataset.hide,
    showPasswordAriaLabel: root.dataset.show,
    hidePasswordAriaLabel: root.dataset.hide,
  },
});

// The guide is kept from the first page that mentions it.
if ("serviceWorker" in navigator && document.querySelector("[data-guide]")) {
  navigator.serviceWorker.register("/guide/worker.js", { scope: "/guide" });
}

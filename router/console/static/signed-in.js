// Where Entra sends the sign-in window back to: hands the answer to the console's page and closes.

msalRedirectBridge.broadcastResponseToMainFrame().catch(() => {
  document.querySelector("p").textContent = "This did not work. Close this window and sign in again.";
});

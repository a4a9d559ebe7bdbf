// Commands for the origin that the page came from, and a button beside each that copies it.
const { address } = document.body.dataset; // that the page was written with

for (const code of document.querySelectorAll("code")) {
  if (code.textContent.includes(address)) code.textContent = code.textContent.replace(address, location.origin);
}

for (const command of document.querySelectorAll(".command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-describedby", command.closest("article").getAttribute("aria-labelledby"));
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(command.querySelector("code"));
    // navigator.clipboard is missing over plain HTTP from another machine; this works there, too.
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  command.append(button);
}

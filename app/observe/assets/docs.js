// A file of its own, so that the page's policy can forbid scripts inside it. S3 requests need a signature that this page
// cannot make, hence no "Try it out"; and no validator, which would send the document elsewhere.
window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "none",
    supportedSubmitMethods: [],
    validatorUrl: null,
  });
});

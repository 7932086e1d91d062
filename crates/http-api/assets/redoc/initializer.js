"use strict";

// System fonts: the default theme names fonts that would have to come from the network.
const fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

Redoc.init(
  "/openapi.json",
  {
    expandResponses: "200,201,202",
    theme: { typography: { fontFamily: fonts, headings: { fontFamily: fonts } } },
  },
  document.getElementById("redoc"),
);

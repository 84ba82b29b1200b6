// Without validatorUrl Swagger UI would send the address of this API to a validator on the internet.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: "none" });

// Octokit's authentication of GitHub Apps, as an App of another program: by the key itself, and by a JWT
// that roustabout has signed. Prints one JSON object.
//
// node octokit.mjs API_URL APP_ID INSTALLATION_ID KEY_FILE PUBLIC_KEY_FILE JWT
import { readFileSync } from "node:fs";
import { verify } from "node:crypto";
import { createAppAuth } from "@octokit/auth-app";
import githubAppJwt from "universal-github-app-jwt";
import { request } from "@octokit/request";

const [baseUrl, appId, installationId, keyFile, publicKeyFile, jwt] = process.argv.slice(2);
const privateKey = readFileSync(keyFile, "utf8");
const at = request.defaults({ baseUrl });

// Theirs, by the key.
const auth = createAppAuth({ appId, privateKey, request: at });
const byKey = await auth({ type: "installation", installationId });
const own = await githubAppJwt({ id: appId, privateKey });
const app = await at("GET /app", { headers: { authorization: `bearer ${own.token}` } });

// Ours, by the public half of the key, and in their client.
const [head, claims, signature] = jwt.split(".");
const good = verify(
  "sha256",
  Buffer.from(`${head}.${claims}`),
  readFileSync(publicKeyFile, "utf8"),
  Buffer.from(signature, "base64url"),
);
const createJwt = async () => ({ jwt, expiresAt: new Date(Date.now() + 60_000).toISOString() });
const byJwt = await createAppAuth({ appId, createJwt, request: at })({
  type: "installation",
  installationId,
  permissions: { administration: "write" },
});

const read = (part) => JSON.parse(Buffer.from(part, "base64url"));
console.log(
  JSON.stringify({
    slug: app.data.slug,
    byKey: byKey.token.slice(0, 4),
    byJwt: byJwt.permissions,
    good,
    head: read(head),
    ours: read(claims),
    theirs: read(own.token.split(".")[1]),
  }),
);

// Judges webhooks by GitHub's description of them. Each line of stdin is {"name", "body"}, where name
// is that of a webhook in the description; for each one line of JSON comes back: what is wrong with it.
// Called with the node_modules folder of scripts/get-openapi.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.argv[2]}/`);
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;
const description = require('@octokit/openapi-webhooks/generated/api.github.com.json');

// OpenAPI adds words of its own to JSON Schema; `required` may name what `properties` does not.
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema(description, 'description');

for await (const line of createInterface({ input: process.stdin })) {
  const { name, body } = JSON.parse(line);
  const content = description.webhooks[name]?.post.requestBody.content['application/json'];
  if (!content) {
    console.log(JSON.stringify([`${name} is not described`]));
    continue;
  }
  const validate = ajv.getSchema(content.schema.$ref.replace(/^/, 'description'));
  validate(body);
  const errors = validate.errors ?? [];
  console.log(JSON.stringify(errors.map((one) => `${one.instancePath} ${one.message}`)));
}

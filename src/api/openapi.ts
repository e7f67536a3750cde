import { z } from 'zod';
import { ROUTES, type Route } from './routes.ts';

type Schema = { readonly properties?: Record<string, { description?: string }>; readonly required?: readonly string[] };

const schemaOf = (type: z.ZodType): Schema => {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io: 'input' });
  return schema as Schema;
};

/** The description of the API, made from the schemas that check the requests. */
export const openApi = () => ({
  openapi: '3.1.0',
  info: { title: 'settlestream', version: '1', description: 'The JSON of the commands, with the same keys.' },
  servers: [{ url: '/api/v1' }],
  security: [{ token: [] }],
  components: {
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Problem: {
        type: 'object',
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
        },
        required: ['type', 'title', 'status', 'detail'],
      },
    },
  },
  paths: Object.fromEntries(
    [...Map.groupBy(ROUTES, ({ path }) => path)].map(([path, routes]) => [
      path,
      Object.fromEntries(routes.map((route) => [route.method.toLowerCase(), operationOf(route)])),
    ]),
  ),
});

function operationOf({ method, path, summary, roles, isOfAll, query, body }: Route) {
  const who = [
    roles === null ? '' : `Needs the role ${roles.join(' or ')}.`,
    isOfAll ? 'Needs a token for all merchants.' : '',
  ];
  return {
    summary,
    description: who.filter((said) => said !== '').join(' '),
    parameters: [...namedIn(path), ...fieldsOf(schemaOf(query)), ...(method === 'POST' ? [KEY] : [])],
    ...(body === null
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: {
      200: { description: 'Done', content: { 'application/json': { schema: { type: 'object' } } } },
      default: {
        description: 'Refused; nothing was done',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

const KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Sent again with the same key within 7 days, a request gets the same answer and is done once',
  schema: { type: 'string', minLength: 1, maxLength: 200 },
};

const namedIn = (path: string) =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'no' ? { type: 'integer', minimum: 1 } : { type: 'string' },
  }));

const fieldsOf = ({ properties = {}, required = [] }: Schema) =>
  Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));

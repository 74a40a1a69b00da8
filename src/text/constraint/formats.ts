/** The formats of JSON Schema that are enforced, as regular expressions: never more than the standards allow, sometimes less. */
const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const group = "[0-9a-fA-F]{1,4}";
const leapYear = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const date = `(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|${leapYear}-02-29)`;
// No leap seconds: whether one is real depends on the date and the offset.
const time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
// Four labels of these lengths stay below the 253 characters that a name may have.
const further = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?";
const hostname = `${label}(?:\\.${further}){0,3}`;
const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,32}";
const escaped = "%[0-9A-Fa-f]{2}";
const pathCharacter = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|${escaped})`;
const segment = `(?:/${pathCharacter}*)`;
const tail = `(?:\\?(?:${pathCharacter}|[/?])*)?(?:#(?:${pathCharacter}|[/?])*)?`;

export const formats: Readonly<Record<string, string>> = {
  "date-time": `${date}T${time}`,
  date,
  time,
  duration:
    "P(?:[0-9]+W|(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)(?:T(?:[0-9]+S|[0-9]+M(?:[0-9]+S)?|[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?))?|T(?:[0-9]+S|[0-9]+M(?:[0-9]+S)?|[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?))",
  email: `${atom}(?:\\.${atom}){0,3}@${hostname}`,
  hostname,
  ipv4,
  ipv6: `(?:(?:${group}:){7}${group}|(?:${group}:){1,7}:|(?:${group}:){1,6}:${group}|(?:${group}:){1,5}(?::${group}){1,2}|(?:${group}:){1,4}(?::${group}){1,3}|(?:${group}:){1,3}(?::${group}){1,4}|(?:${group}:){1,2}(?::${group}){1,5}|${group}:(?::${group}){1,6}|:(?:(?::${group}){1,7}|:))`,
  uri: `[A-Za-z][A-Za-z0-9+.-]*:(?://(?:${hostname}|${ipv4})(?::[0-9]{1,5})?${segment}*|/?${pathCharacter}+${segment}*)${tail}`,
  uuid: "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
  "json-pointer": "(?:/(?:[^~/\\x00-\\x1f]|~[01])*)*",
};

/** Formats of the standard that are not enforced. */
const others = ["idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "relative-json-pointer", "regex"];

/** Whether a format only names what a pattern beside it says: libraries that make schemas from types have names of their own. */
export const isNameOfPattern = (format: string, schema: Readonly<Record<string, unknown>>): boolean =>
  Object.hasOwn(schema, "pattern") && !Object.hasOwn(formats, format) && !others.includes(format);

// The words that openings and questions are made of.
const list = (text) => text.trim().split(/\s+/);

export const names = list(`Lily Tim Tom Mia Ben Anna Sam Max Lucy Sara Jack Emma Leo Zoe Mark Sue Bob
  Amy Joe Kitty Jane Billy Molly Jill Timmy Daisy Rosie Fred Nina Peter`);
export const animals = list(`dog cat bird fish rabbit bear mouse frog duck fox lion turtle squirrel bee
  butterfly elephant monkey pig horse owl`);
export const things = list(`ball boat tree flower kite cake hat box car truck garden river forest castle
  train robot star moon book doll bike drum stone hill lake shop farm park beach snowman`);
export const adjectives = list(`little big happy sad kind brave shy funny lonely curious clever small old
  red blue tiny lazy proud gentle hungry`);

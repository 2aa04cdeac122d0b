// Plays requests from standard input through the AWS SDK for JavaScript: one JSON object a line, one answer a line.
//   {operation, parameters}          an operation of the S3 client
//   {upload: parameters, options}    Upload of lib-storage
//   {presign: operation, parameters, options}   a URL of s3-request-presigner
// {"$bytes": base64} and {"$date": text} stand for what JSON has not.
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import * as s3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const client = new s3.S3Client({ endpoint: process.env.BLEEPSTORE_ENDPOINT, forcePathStyle: true, maxAttempts: 1 });

function untagged(name, value) {
  if (value?.$bytes !== undefined) return Buffer.from(value.$bytes, "base64");
  if (value?.$date !== undefined) return new Date(value.$date);
  return value;
}

async function played(request) {
  if (request.operation) return send(request.operation, request.parameters);
  if (request.upload) {
    const { streamed, ...options } = request.options;
    const params = streamed ? { ...request.upload, Body: Readable.from(pieces(request.upload.Body)) } : request.upload;
    return new Upload({ client, params, ...options }).done();
  }
  const command = new s3[`${request.presign}Command`](request.parameters);
  return { url: await getSignedUrl(client, command, request.options) };
}

async function send(operation, parameters) {
  const answer = await client.send(new s3[`${operation}Command`](parameters));
  if (answer.Body) answer.Body = { $bytes: Buffer.from(await answer.Body.transformToByteArray()).toString("base64") };
  return answer;
}

function* pieces(bytes) {
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line, untagged);
  let reply;
  try {
    reply = { answer: await played(request) };
  } catch (error) {
    const status = error.$metadata?.httpStatusCode;
    const code = request.operation?.startsWith("Head") ? String(status) : error.name;
    reply = status ? { refused: { code, status } } : { failed: String(error.stack) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}

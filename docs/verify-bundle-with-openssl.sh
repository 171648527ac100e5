#!/bin/sh
# Verify with openssl and unzip alone that a key signed a bundle and that its images are the signed ones:
#   verify-bundle-with-openssl.sh BUNDLE PUBLIC_KEY.pem
# Exits with 0 when that holds, with 1 when anything is wrong (imagekit: 3 refused, 4 unreadable), with 2 for wrong usage.
# It does not check ST's signatures, addresses and steps: that is `imagekit bundle verify` (docs/bundle.md).
set -eu
# Options in these variables would change what unzip reads and prints.
unset UNZIP UNZIPOPT ZIPINFO ZIPINFOOPT
export LC_ALL=C
predicate_type='urn:stm32wb-imagekit:bundle:v1'
if [ $# -ne 2 ]; then
    echo "usage: verify-bundle-with-openssl.sh BUNDLE PUBLIC_KEY.pem" >&2
    exit 2
fi
bundle=$1
fail() {
    printf '%s: %s\n' "$1" "$2" >&2
    exit 1
}
for file in "$1" "$2"; do
    [ -f "$file" ] && [ -r "$file" ] || fail "$file" "no such file, or not readable"
done

# unzip takes a name as a pattern (product[1].wbz would be product1.wbz), and openssl takes one as a URI. So both get
# copies with plain names. The copies cannot change between the checks either.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat <"$1" >"$work/bundle.zip"
cat <"$2" >"$work/key.pem"
cd "$work"

# The key: one, of a kind that bundles use. A P-256 key that spells out its curve has another key id.
[ "$(grep -c -e '-----BEGIN' key.pem)" = 1 ] || fail "$2" "must hold one public key"
openssl pkey -pubin -in key.pem -noout -text >key.txt 2>errors || fail "$2" "not a public key in PEM"
if grep -q '^ED25519 ' key.txt; then
    kind=ed25519
elif grep -q '^ASN1 OID: prime256v1$' key.txt; then
    kind=p256
else
    fail "$2" "neither Ed25519 nor ECDSA P-256 with a named curve"
fi
if [ $kind = p256 ]; then
    # The key id is that of the uncompressed point (RFC 5480, section 2.2).
    openssl ec -pubin -in key.pem -conv_form uncompressed -outform DER -out key.der 2>errors
else
    openssl pkey -pubin -in key.pem -outform DER -out key.der
fi
# A key is known by SHA-256 of its DER SubjectPublicKeyInfo.
keyid=$(openssl dgst -sha256 -r key.der | cut -d' ' -f1)

# The envelope and its payload have one spelling each, in one line, so sed can read them.
unzip -p bundle.zip manifest.dsse.json >envelope 2>errors || fail "$bundle" "no manifest.dsse.json"
[ "$(wc -l <envelope)" -eq 0 ] || fail "$bundle" "the envelope is not one of a bundle"
sed -n 's|^{"payload":"\([A-Za-z0-9+/=]*\)","payloadType":"application/vnd\.in-toto+json","signatures":\[\({"keyid":"[0-9a-f]\{64\}","sig":"[A-Za-z0-9+/=]*"},\{0,1\}\)*\]}$|\1|p' \
    envelope | openssl base64 -d -A >payload
sed -n 's|.*{"keyid":"'"$keyid"'","sig":"\([A-Za-z0-9+/=]*\)"}.*|\1|p' envelope | openssl base64 -d -A >signature
[ -s payload ] || fail "$bundle" "the envelope is not one of a bundle"
[ -s signature ] || fail "$bundle" "$2 has not signed it"

# What is signed: DSSE's pre-authentication encoding.
{
    printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(wc -c <payload | tr -d ' ')"
    cat payload
} >signed
if [ $kind = ed25519 ]; then
    openssl pkeyutl -verify -rawin -pubin -inkey key.pem -sigfile signature -in signed >errors 2>&1
else
    openssl dgst -sha256 -verify key.pem -signature signature signed >errors 2>&1
fi || fail "$bundle" "the signature is not valid"

# The statement: one about a bundle. A key may sign statements of other kinds too.
subject='{"digest":{"sha256":"[0-9a-f]\{64\}"},"name":"images/[0-9a-f]\{64\}"}'
[ "$(wc -l <payload)" -eq 0 ] || fail "$bundle" "the payload is not a statement about a bundle"
sed -n 's|^{"_type":"https://in-toto\.io/Statement/v1","predicate":{.*},"predicateType":"'"$predicate_type"'","subject":\[\('"$subject"'\(,'"$subject"'\)*\)\]}$|\1|p' \
    payload >subjects
[ -s subjects ] || fail "$bundle" "the payload is not a statement about a bundle with at least one image"
tr '}' '\n' <subjects | sed -n 's|.*"sha256":"\([0-9a-f]*\)".*|images/\1|p' | sort >hashes
tr '}' '\n' <subjects | sed -n 's|.*"name":"\(images/[0-9a-f]*\)".*|\1|p' | sort >names
cmp -s hashes names || fail "$bundle" "its statement gives an image another hash than its name"

# The images: those that were signed, no other member, and with the bytes that were signed.
{
    cat names
    echo manifest.dsse.json
} | sort >expected
unzip -Z1 bundle.zip 2>errors | sort >members
cmp -s expected members || fail "$bundle" "its members are not the images that were signed"
# No byte is free: 76 in the two headers of a member, its name twice, its content, and 22 in the end record (stored only).
size=$((22 + 76 + 2 * 18 + $(wc -c <envelope)))
while read -r name; do
    unzip -p bundle.zip "$name" >image 2>errors || fail "$bundle" "$name is damaged"
    hash=$(openssl dgst -sha256 -r image | cut -d' ' -f1)
    [ "images/$hash" = "$name" ] || fail "$bundle" "$name holds other bytes"
    size=$((size + 76 + 2 * 71 + $(wc -c <image)))
done <names
[ "$(wc -c <bundle.zip)" -eq "$size" ] || fail "$bundle" "it holds bytes that belong to no member, or is compressed"
count=$(wc -l <names | tr -d ' ')
[ "$count" = 1 ] && what=image || what=images
printf '%s: signed by %s, %s %s\n' "$bundle" "$keyid" "$count" "$what"

#!/bin/sh
# Verify with openssl and unzip alone that a key signed a bundle and that its images are the signed ones:
#   verify-bundle-with-openssl.sh BUNDLE PUBLIC_KEY.pem
# It says nothing about ST's signatures, addresses and steps: that is `imagekit bundle verify` (docs/bundle.md).
set -eu
bundle=$1 key=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$bundle: $1" >&2
    exit 1
}

# A key is known by SHA-256 of its DER SubjectPublicKeyInfo.
keyid=$(openssl pkey -pubin -in "$key" -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1)

# The envelope has one spelling, so sed can read it.
unzip -p "$bundle" manifest.dsse.json >"$work/envelope" || fail "no manifest.dsse.json"
sed -n 's|^{"payload":"\([A-Za-z0-9+/=]*\)","payloadType":"application/vnd\.in-toto+json","signatures":\[.*\]}$|\1|p' \
    "$work/envelope" | openssl base64 -d -A >"$work/payload"
sed -n 's|.*{"keyid":"'"$keyid"'","sig":"\([A-Za-z0-9+/=]*\)"}.*|\1|p' \
    "$work/envelope" | openssl base64 -d -A >"$work/signature"
[ -s "$work/payload" ] || fail "the envelope is not one of a bundle"
[ -s "$work/signature" ] || fail "$key has not signed it"

# What is signed: DSSE's pre-authentication encoding.
size=$(wc -c <"$work/payload" | tr -d ' ')
{
    printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$size"
    cat "$work/payload"
} >"$work/signed"
case $(openssl pkey -pubin -in "$key" -noout -text) in
ED25519*)
    openssl pkeyutl -verify -rawin -pubin -inkey "$key" -sigfile "$work/signature" -in "$work/signed" >"$work/said" 2>&1
    ;;
*) openssl dgst -sha256 -verify "$key" -signature "$work/signature" "$work/signed" >"$work/said" 2>&1 ;;
esac || fail "the signature is not valid"

# The images: those that were signed, no other, and with the bytes that were signed.
grep -o '"name":"images/[0-9a-f]\{64\}"' "$work/payload" | cut -d'"' -f4 | sort >"$work/stated"
unzip -Z1 "$bundle" | grep -v '^manifest\.dsse\.json$' | sort >"$work/found" || :
cmp -s "$work/stated" "$work/found" || fail "its members are not the images that were signed"
while read -r name; do
    hash=$(unzip -p "$bundle" "$name" | openssl dgst -sha256 -r | cut -d' ' -f1)
    [ "images/$hash" = "$name" ] || fail "$name holds other bytes"
done <"$work/stated"
echo "$bundle: signed by $keyid, $(wc -l <"$work/stated" | tr -d ' ') images"

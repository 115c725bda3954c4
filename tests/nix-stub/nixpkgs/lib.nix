# The functions of nixpkgs' lib that this project uses, with the same meaning and stricter arguments.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatStringsSep
    elemAt
    filter
    fromTOML
    isAttrs
    isBool
    isInt
    isFloat
    isList
    isPath
    isString
    length
    listToAttrs
    map
    pathExists
    readFile
    ;
  isDerivation = value: isAttrs value && value.type or null == "derivation";
  check =
    what: test: value:
    if test value then value else throw "lib stub: ${what}: bad argument of type ${builtins.typeOf value}";
  listOfDerivations = check "a list of packages" (list: isList list && all isDerivation list);

  within = directory: path: path == directory || builtins.substring 0 (builtins.stringLength directory + 1) path == "${directory}/";

  outputOf = output: package: package.${output} or package.out or package;

  # A module's type: check, and merge of several definitions of equal priority.
  mkType = name: check: merge: {
    _type = "option-type";
    inherit name check merge;
  };
  onlyOne =
    where: values:
    if all (value: value == builtins.head values) values then
      builtins.head values
    else
      throw "lib stub: ${where}: conflicting definitions";
  simple = name: check: mkType name check onlyOne;
  types = rec {
    bool = simple "bool" isBool;
    int = simple "int" isInt;
    str = simple "str" isString;
    path = simple "path" (value: isPath value || (isString value && builtins.substring 0 1 value == "/"));
    package = simple "package" isDerivation;
    port = simple "port" (value: isInt value && value >= 0 && value <= 65535);
    anything = mkType "anything" (_: true) mergeAnything;
    nullOr = inner: mkType "nullOr ${inner.name}" (value: value == null || inner.check value) onlyOne;
    listOf = inner: mkType "listOf ${inner.name}" (value: isList value && all inner.check value) (_: builtins.concatLists);
    attrsOf =
      inner:
      mkType "attrsOf ${inner.name}" (value: isAttrs value && all inner.check (attrValues value)) mergeAnything;
  };
  mergeAnything =
    where: values:
    if all (value: isAttrs value && !(isDerivation value)) values then
      builtins.zipAttrsWith (name: mergeAnything "${where}.${name}") values
    else
      onlyOne where values;

  knownLicenses = {
    mit = {
      spdxId = "MIT";
    };
  };
in
{
  inherit
    all
    any
    attrNames
    attrValues
    concatStringsSep
    elemAt
    filter
    isDerivation
    length
    map
    types
    mkType
    ;
  licenses = knownLicenses;
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  trivial.release = "0.0";

  importTOML = path: fromTOML (readFile path);
  genAttrs =
    names: make:
    listToAttrs (
      map (name: {
        inherit name;
        value = make name;
      }) names
    );
  getExe =
    package:
    assert isDerivation package;
    "${package}/bin/${package.meta.mainProgram}";
  makeSearchPathOutput =
    output: subDirectory: packages:
    concatStringsSep ":" (map (package: "${outputOf output package}/${subDirectory}") (listOfDerivations packages));
  makeBinPath = packages: concatStringsSep ":" (map (package: "${outputOf "bin" package}/bin") (listOfDerivations packages));
  last = list: elemAt list (length list - 1);
  optional = condition: value: if condition then [ value ] else [ ];
  splitString =
    separator: text:
    assert builtins.match "[:,;-]" separator != null; # no character of a regular expression
    filter isString (builtins.split separator text);
  toInt =
    text:
    if builtins.match "[0-9]+" text != null then builtins.fromJSON text else throw "lib stub: toInt: ${text}";
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  fileset = {
    # Every path must exist, unless it says that it may not.
    unions =
      list:
      map (item: if pathExists item then item else throw "lib stub: fileset: ${toString item} does not exist") (
        filter (item: item != null) list
      );
    maybeMissing = path: if pathExists path then path else null;
    toSource =
      { root, fileset }:
      builtins.path {
        path = root;
        name = "source";
        filter = path: _: any (item: within (toString item) path || within path (toString item)) fileset;
      };
  };

  mkEnableOption = description: {
    _type = "option";
    type = types.bool;
    default = false;
    inherit description;
  };
  mkOption =
    {
      type,
      default ? throw "an option without default",
      defaultText ? null,
      example ? null,
      description,
    }@option:
    option // { _type = "option"; };
  mkIf = condition: content: {
    _type = "if";
    condition = check "mkIf" isBool condition;
    inherit content;
  };
  mkDefault = content: {
    _type = "override";
    priority = 1000;
    inherit content;
  };
}

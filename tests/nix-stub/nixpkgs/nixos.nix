# A NixOS configuration of a handful of options: enough of the module system to hold a module to its own
# declarations (an unknown option, a wrong type and a conflict fail) and to give the unit that comes of it.
{
  lib,
  modules,
  pkgs,
}:
let
  inherit (lib) types;

  # What NixOS itself declares, as far as it is used here.
  base = {
    options = {
      boot.isContainer = lib.mkOption {
        type = types.bool;
        default = false;
        description = "";
      };
      system.stateVersion = lib.mkOption {
        type = types.str;
        description = "";
      };
      networking.firewall.allowedTCPPorts = ports;
      networking.firewall.allowedUDPPorts = ports;
      networking.firewall.allowedUDPPortRanges = lib.mkOption {
        type = types.listOf (types.attrsOf types.port);
        default = [ ];
        description = "";
      };
      systemd.services = lib.mkOption {
        type = types.attrsOf types.anything;
        default = { };
        description = "";
      };
    };
  };
  ports = lib.mkOption {
    type = types.listOf types.port;
    default = [ ];
    description = "";
  };

  # Modules as attribute sets with options and config.
  called = map (
    module:
    let
      result = if builtins.isFunction module then module { inherit config lib pkgs; } else module;
    in
    if result ? config || result ? options then
      {
        options = result.options or { };
        config = result.config or { };
      }
    else
      {
        options = { };
        config = result;
      }
  ) ([ base ] ++ modules);

  options = builtins.foldl' mergeOptions { } (map (module: module.options) called);
  mergeOptions =
    left: right:
    builtins.zipAttrsWith (
      name: values:
      if builtins.length values == 1 then
        builtins.head values
      else if builtins.any isOption values then
        throw "nixos stub: option ${name} is declared twice"
      else
        builtins.foldl' mergeOptions { } values
    ) [ left right ];
  isOption = value: value._type or null == "option";

  # An attribute set with mkIf and mkDefault moved from around it onto its attributes, so that its names are
  # known before any condition is: a condition may depend on the configuration.
  pushDown =
    value:
    if value._type or null == "if" || value._type or null == "override" then
      builtins.mapAttrs (_: inner: value // { content = inner; }) (pushDown value.content)
    else
      value;

  # Every definition of a value, from under mkIf and mkDefault, as { priority, value }.
  definitions =
    value:
    if value._type or null == "if" then
      if value.condition then definitions value.content else [ ]
    else if value._type or null == "override" then
      map (inner: inner // { inherit (value) priority; }) (definitions value.content)
    else
      [
        {
          priority = 100;
          inherit value;
        }
      ];

  # The same inside attribute sets: the strongest definition of each leaf.
  strongest =
    found:
    let
      best = builtins.foldl' (least: one: if one.priority < least then one.priority else least) 9999 found;
      values = map (one: one.value) (builtins.filter (one: one.priority == best) found);
      isPlain = one: builtins.isAttrs one.value && !(lib.isDerivation one.value) && !(one.value ? _type);
    in
    if found != [ ] && builtins.all isPlain found then
      let
        merged = builtins.zipAttrsWith (_: parts: strongest (builtins.concatMap definitions parts)) (
          map (one: one.value) found
        );
        there = builtins.filter (name: merged.${name} != [ ]) (builtins.attrNames merged);
      in
      [ (lib.genAttrs there (name: if builtins.length merged.${name} == 1 then builtins.head merged.${name} else throw "nixos stub: conflicting definitions of ${name}")) ]
    else
      values;

  evaluate =
    path: declared: given:
    builtins.mapAttrs (
      name: declaration:
      let
        here = "${path}${name}";
        found = builtins.concatMap definitions (builtins.catAttrs name given);
      in
      if isOption declaration then
        value here declaration found
      else
        evaluate "${here}." declaration (map pushDown (builtins.catAttrs name given))
    ) declared;

  value =
    here: declaration: found:
    let
      values = strongest found;
      merged = if builtins.length values == 1 then builtins.head values else declaration.type.merge here values;
    in
    if found == [ ] then
      declaration.default
    else if !(builtins.all declaration.type.check values) then
      throw "nixos stub: ${here} is no ${declaration.type.name}"
    else
      merged;

  # Definitions of options that nobody declared.
  unknown =
    path: declared: given:
    builtins.concatMap (
      one:
      builtins.concatMap (
        name:
        if !(declared ? ${name}) then
          [ "${path}${name}" ]
        else if isOption declared.${name} then
          [ ]
        else
          unknown "${path}${name}." declared.${name} [ (pushDown one.${name}) ]
      ) (builtins.attrNames one)
    ) given;

  given = map (module: pushDown module.config) called;
  strangers = unknown "" options given;
  config =
    if strangers != [ ] then
      throw "nixos stub: there is no option ${toString strangers}"
    else
      evaluate "" options given;

  units = builtins.listToAttrs (
    map (name: {
      name = "${name}.service";
      value.unit = pkgs.runCommand "unit-${name}.service" { } (builtins.toJSON config.systemd.services.${name});
    }) (builtins.attrNames config.systemd.services)
  );
in
{
  inherit options;
  config = config // {
    systemd = config.systemd // {
      inherit units;
    };
  };
}
